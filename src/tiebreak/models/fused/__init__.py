"""Fused decoder layers: forward and backward passes without autograd, on Triton kernels."""
