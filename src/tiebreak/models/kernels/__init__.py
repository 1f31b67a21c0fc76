"""Triton kernels for CUDA GPUs from Ampere on, with the functions that launch them; imported only where they run."""
