"""Dropout whose mask is drawn anew from its seed wherever it is needed, and never kept."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _dropout_kernel(x_ptr, out_ptr, numbers, p, seed, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < numbers, other=0.0).to(tl.float32)
    kept = tl.rand(seed, at.to(tl.int32)) >= p
    tl.store(out_ptr + at, tl.where(kept, x / (1 - p), 0.0).to(out_ptr.dtype.element_ty), mask=at < numbers)


def dropout(x: Tensor, p: float, seed: int) -> Tensor:
    """x with a share p of its numbers, drawn from the seed, set to zero and the rest scaled by 1 / (1 - p)."""
    out = torch.empty_like(x)
    _dropout_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), p, seed, BLOCK=1024, num_warps=4)
    return out
