"""Dropout whose mask is drawn anew from its seed wherever it is needed, and never kept."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit(do_not_specialize=["numbers", "seed"])
def _dropout_kernel(x_ptr, add_ptr, out_ptr, numbers, least, scale, seed, ADD: tl.constexpr, BLOCK: tl.constexpr):
    lane = tl.arange(0, BLOCK)
    # One draw of Philox gives four words of 32 bits, and these the masks of eight numbers, a block apart.
    words = tl.randint4x(seed, tl.program_id(0) * BLOCK + lane, n_rounds=7)
    start = tl.program_id(0).to(tl.int64) * (8 * BLOCK)
    for part in tl.static_range(8):
        at = start + part * BLOCK + lane
        bits = (words[part // 2] >> (16 * (part % 2))) & 0xFFFF
        x = tl.load(x_ptr + at, mask=at < numbers, other=0.0).to(tl.float32)
        out = tl.where(bits >= least, x * scale, 0.0)
        if ADD:
            out += tl.load(add_ptr + at, mask=at < numbers, other=0.0).to(tl.float32)
        tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=at < numbers)


def dropout(x: Tensor, p: float, seed: int, *, add_to: Tensor | None = None) -> Tensor:
    """x with a share p of its numbers set to zero, drawn from the seed, and the rest scaled by 1 / (1 - p).

    Args:
        x: contiguous.
        p: rounded to a 65,536th.
        seed: the same seed draws the same numbers of a tensor of the same size.
        add_to: add the outcome to this tensor, in place, and return it.
    """
    least = round(p * 65536)
    out = torch.empty_like(x) if add_to is None else add_to
    block = 1024
    _dropout_kernel[(triton.cdiv(x.numel(), 8 * block),)](
        x, add_to, out, x.numel(), least, 65536 / (65536 - least), seed, ADD=add_to is not None, BLOCK=block,
        num_warps=4,
    )  # fmt: skip
    return out
