"""Activations in the forms products want them in, and rows cast to FP8 (e4m3), each with its own scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

FP8: Final = torch.float8_e4m3fn
FP8_MAX: Final = tl.constexpr(448.0)
"""The largest number of e4m3."""

TINY: Final = tl.constexpr(1e-12)
"""A row of zeros has this for its largest value, so that no scale is zero."""


Rows = tuple[Tensor, Tensor]
"""e4m3 [R, C], and float32 scales [R, 1]: what they stand for is the one times the other."""


class Forms(NamedTuple):
    """In which forms an activation is wanted."""

    plain: bool = True
    """in the compute type"""
    fp8: bool = False
    """in e4m3 with row scales"""


PLAIN: Final = Forms()


@dataclass(frozen=True)
class Activation:
    """A matrix [T, C] in the forms that are wanted of it."""

    plain: Tensor | None
    fp8: Rows | None = None

    @classmethod
    def empty(cls, rows: int, columns: int, like: Tensor, forms: Forms) -> Activation:
        """Room for a kernel's outcome, in `like`'s type and on its device."""
        plain, fp8 = None, None
        if forms.plain:
            plain = torch.empty((rows, columns), dtype=like.dtype, device=like.device)
        if forms.fp8:
            values = torch.empty((rows, columns), dtype=FP8, device=like.device)
            fp8 = values, torch.empty((rows, 1), dtype=torch.float32, device=like.device)
        return cls(plain, fp8)

    @property
    def pointers(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """What kernels take: the plain matrix, the FP8 one, its scales."""
        return (self.plain, *(self.fp8 or (None, None)))


@triton.jit
def to_fp8(values, largest):
    """Values scaled so that `largest` becomes e4m3's largest number."""
    return tl.clamp(values * (FP8_MAX / largest), -FP8_MAX, FP8_MAX).to(tl.float8e4nv)


@triton.jit
def load_row(x_ptr, row, at, width, inside):
    """A part of row `row` of a matrix whose rows are `width` wide, in float32."""
    return tl.load(x_ptr + row * width + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def store_row(
    values, plain_ptr, fp8_ptr, scale_ptr, row, at, width, inside, largest, PLAIN: tl.constexpr, QUANTISED: tl.constexpr
):
    """Write a part of row `row` of an `Activation` whose rows are `width` wide; `largest` is that of the whole row."""
    if PLAIN:
        tl.store(plain_ptr + row * width + at, values.to(plain_ptr.dtype.element_ty), mask=inside)
    if QUANTISED:
        tl.store(scale_ptr + row, largest / FP8_MAX)
        tl.store(fp8_ptr + row * width + at, to_fp8(values, largest), mask=inside)


@triton.jit
def largest_of(values):
    """The largest absolute value, what a row's scale is made from."""
    return tl.maximum(tl.max(tl.abs(values), 0), TINY)


@triton.jit
def _rows_kernel(x_ptr, out_ptr, scale_ptr, columns, stride_x, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    largest = tl.full([], TINY, tl.float32)
    for begin in range(0, columns, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + at, mask=at < columns, other=0.0).to(tl.float32)
        largest = tl.maximum(largest, tl.max(tl.abs(x), 0))
    tl.store(scale_ptr + row, largest / FP8_MAX)
    for begin in range(0, columns, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + at, mask=at < columns, other=0.0).to(tl.float32)
        tl.store(out_ptr + row * columns + at, to_fp8(x, largest), mask=at < columns)


def rows_to_fp8(x: Tensor) -> Rows:
    """[T, C] -> e4m3 [T, C] and float32 scales [T, 1], with x = values * scales."""
    rows, columns = x.shape
    out = torch.empty((rows, columns), dtype=FP8, device=x.device)
    scale = torch.empty((rows, 1), dtype=torch.float32, device=x.device)
    block = min(triton.next_power_of_2(columns), 4096)
    _rows_kernel[(rows,)](x, out, scale, columns, x.stride(0), BLOCK=block, num_warps=8 if block >= 2048 else 4)
    return out, scale
