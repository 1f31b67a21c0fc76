"""Dropout with a mask that is recomputed from a seed in the backward pass instead of stored.

x, `add_to` and the output are contiguous tensors of equal shape with N elements (`numbers`); a program computes BLOCK.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _hash(counter, seed):
    """32 pseudo-random bits from a counter: a multiplicative hash with xor-shifts, much cheaper than Philox."""
    x = counter.to(tl.uint32) * 0x9E3779B1 + seed.to(tl.uint32)  # 2^32 / golden ratio
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


@triton.jit(do_not_specialize=["seed"])  # specialize `numbers`: multiples of 16 are loaded as vectors
def _dropout_kernel(x_ptr, add_ptr, out_ptr, numbers, threshold, scale, seed, ADD: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < numbers
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    out = tl.where(_hash(at, seed) >> 8 >= threshold, x * scale, 0.0)
    if ADD:
        out += tl.load(add_ptr + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=inside)


def dropout(x: Tensor, p: float, seed: int, *, add_to: Tensor | None = None) -> Tensor:
    """Set each element of x to zero with probability p and scale the others by 1 / (1 - p).

    Args:
        x: contiguous.
        p: rounded to a multiple of 2^-24.
        seed: equal seeds give equal masks for tensors of equal size.
        add_to: add the result to this tensor in place, and return it.
    """
    threshold = round(p * 2**24)
    out = torch.empty_like(x) if add_to is None else add_to
    block = 2048
    _dropout_kernel[(triton.cdiv(x.numel(), block),)](
        x, add_to, out, x.numel(), threshold, 1 / (1 - threshold / 2**24), seed, ADD=add_to is not None, BLOCK=block,
        num_warps=8,
    )  # fmt: skip
    return out
