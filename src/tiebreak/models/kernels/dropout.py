"""Dropout whose mask is regenerated from its seed wherever it is needed, and never stored."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _word(counter, seed):
    """32 bits that look random, from a counter: a multiplicative hash with xor-shifts, far cheaper than Philox."""
    x = counter.to(tl.uint32) * 0x9E3779B1 + seed.to(tl.uint32)  # steps of the golden ratio, from a start a seed
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


@triton.jit(do_not_specialize=["seed"])  # but `numbers`: what is no multiple of 16 is read one by one
def _dropout_kernel(x_ptr, add_ptr, out_ptr, numbers, least, scale, seed, ADD: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < numbers
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    out = tl.where(_word(at, seed) >> 8 >= least, x * scale, 0.0)
    if ADD:
        out += tl.load(add_ptr + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=inside)


def dropout(x: Tensor, p: float, seed: int, *, add_to: Tensor | None = None) -> Tensor:
    """x with a share p of its numbers set to zero, drawn from the seed, and the rest scaled by 1 / (1 - p).

    Args:
        x: contiguous.
        p: rounded to a multiple of 2^-24.
        seed: the same seed draws the same numbers of a tensor of the same size.
        add_to: add the outcome to this tensor, in place, and return it.
    """
    least = round(p * 2**24)
    out = torch.empty_like(x) if add_to is None else add_to
    block = 2048
    _dropout_kernel[(triton.cdiv(x.numel(), block),)](
        x, add_to, out, x.numel(), least, 1 / (1 - least / 2**24), seed, ADD=add_to is not None, BLOCK=block,
        num_warps=8,
    )  # fmt: skip
    return out
