"""Decoder layers computed by hand: forward, backward, and the linear layers in them."""
