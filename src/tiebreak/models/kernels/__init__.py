"""Triton kernels for CUDA cards from Ampere on, each with its launcher; imported only where they run."""
