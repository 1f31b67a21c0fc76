"""Rotary position embeddings (Su et al. 2021) in the half-split form of transformers, in place.

Legend of shapes: T tokens, D head dimension, HALF = D / 2. x is [T, columns], with its heads side by side and
`stride_x` elements between rows; cos and sin are [T, D], with `stride_cos` between rows. A program rotates ROWS
tokens of one head; BLOCK is HALF rounded up to a power of two.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


@triton.jit(do_not_specialize=["tokens"])
def _rope_kernel(
    x_ptr, cos_ptr, sin_ptr, tokens, stride_x, stride_cos,
    HALF: tl.constexpr, INVERSE: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(0)
    rows = (tl.program_id(1) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    dims = tl.arange(0, BLOCK)[None, :]
    inside = (rows < tokens) & (dims < HALF)
    cos = tl.load(cos_ptr + rows * stride_cos + dims, mask=inside, other=0.0).to(tl.float32)
    sin = tl.load(sin_ptr + rows * stride_cos + dims, mask=inside, other=0.0).to(tl.float32)
    if INVERSE:
        sin = -sin
    at = x_ptr + rows * stride_x + head * 2 * HALF + dims
    first = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(at + HALF, mask=inside, other=0.0).to(tl.float32)
    tl.store(at, (first * cos - second * sin).to(x_ptr.dtype.element_ty), mask=inside)
    tl.store(at + HALF, (second * cos + first * sin).to(x_ptr.dtype.element_ty), mask=inside)


def rope_(x: Tensor, cos: Tensor, sin: Tensor, *, heads: int, dim: int, inverse: bool = False) -> None:
    """Rotate the first `heads` heads of x in place.

    Args:
        x: [T, columns]: heads of `dim` columns each; columns after the first `heads` heads are not changed.
        cos: [T, dim]; only the first half is read, as the two halves are equal.
        sin: as `cos`.
        heads: number of heads to rotate.
        dim: the head dimension D.
        inverse: rotate by the negative angles, which is the backward pass: the rotation is orthogonal.
    """
    tokens = x.shape[0]
    rows = 16
    _rope_kernel[heads, triton.cdiv(tokens, rows)](
        x, cos, sin, tokens, x.stride(0), cos.stride(0),
        HALF=dim // 2, INVERSE=inverse, ROWS=rows, BLOCK=triton.next_power_of_2(dim // 2), num_warps=4,
    )  # fmt: skip
