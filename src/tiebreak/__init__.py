"""Tiebreak: votes in, a judge of answers out."""
