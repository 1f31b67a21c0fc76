"""Activations in the formats that matrix products read, and the cast to FP8 (e4m3) with one scale per row.

Legend of shapes: T rows (tokens), C columns. Values are [T, C], scales float32 [T, 1], amax the largest absolute
value of a row. The helpers for kernels read and write the columns `at` of one row of a contiguous matrix of `width`
columns, where `inside` is true. `_rows_kernel` reads rows `stride_x` elements apart; a program converts one row,
BLOCK columns at a time.
"""

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
"""Lower bound of amax, so that no scale is zero."""


Rows = tuple[Tensor, Tensor]
"""e4m3 values [T, C] and float32 scales [T, 1]; the matrix is their product."""


class Forms(NamedTuple):
    """The formats in which an activation is needed."""

    plain: bool = True
    """in the compute type"""
    fp8: bool = False
    """in e4m3 with row scales"""


PLAIN: Final = Forms()


@dataclass(frozen=True)
class Activation:
    """A matrix [T, C] in the formats that are needed."""

    plain: Tensor | None
    fp8: Rows | None = None

    @classmethod
    def empty(cls, rows: int, columns: int, like: Tensor, forms: Forms) -> Activation:
        """Allocate a kernel's output, with the type and the device of `like`."""
        plain, fp8 = None, None
        if forms.plain:
            plain = torch.empty((rows, columns), dtype=like.dtype, device=like.device)
        if forms.fp8:
            values = torch.empty((rows, columns), dtype=FP8, device=like.device)
            fp8 = values, torch.empty((rows, 1), dtype=torch.float32, device=like.device)
        return cls(plain, fp8)

    @property
    def pointers(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The output arguments of kernels: the plain matrix, the FP8 matrix, its scales."""
        return (self.plain, *(self.fp8 or (None, None)))


@triton.jit
def to_fp8(values, amax):
    """Scale so that `amax` becomes the largest number of e4m3, and cast."""
    return tl.clamp(values * (FP8_MAX / amax), -FP8_MAX, FP8_MAX).to(tl.float8e4nv)


@triton.jit
def load_row(x_ptr, row, at, width, inside):
    """Load the columns `at` of row `row` as float32."""
    return tl.load(x_ptr + row * width + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def store_row(
    values, plain_ptr, fp8_ptr, scale_ptr, row, at, width, inside, amax, PLAIN: tl.constexpr, QUANTIZED: tl.constexpr
):
    """Write the columns `at` of row `row` of an `Activation`; `amax` is that of the whole row."""
    if PLAIN:
        tl.store(plain_ptr + row * width + at, values.to(plain_ptr.dtype.element_ty), mask=inside)
    if QUANTIZED:
        tl.store(scale_ptr + row, amax / FP8_MAX)
        tl.store(fp8_ptr + row * width + at, to_fp8(values, amax), mask=inside)


@triton.jit
def row_amax(values):
    """The largest absolute value of a row, which determines its scale."""
    return tl.maximum(tl.max(tl.abs(values), 0), TINY)


@triton.jit
def _rows_kernel(x_ptr, out_ptr, scale_ptr, columns, stride_x, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    amax = tl.full([], TINY, tl.float32)
    for begin in range(0, columns, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + at, mask=at < columns, other=0.0).to(tl.float32)
        amax = tl.maximum(amax, tl.max(tl.abs(x), 0))
    tl.store(scale_ptr + row, amax / FP8_MAX)
    for begin in range(0, columns, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_x + at, mask=at < columns, other=0.0).to(tl.float32)
        tl.store(out_ptr + row * columns + at, to_fp8(x, amax), mask=at < columns)


def rows_to_fp8(x: Tensor) -> Rows:
    """[T, C] -> e4m3 [T, C] and float32 scales [T, 1], with x = values * scales."""
    rows, columns = x.shape
    out = torch.empty((rows, columns), dtype=FP8, device=x.device)
    scale = torch.empty((rows, 1), dtype=torch.float32, device=x.device)
    block = min(triton.next_power_of_2(columns), 4096)
    _rows_kernel[(rows,)](x, out, scale, columns, x.stride(0), BLOCK=block, num_warps=8 if block >= 2048 else 4)
    return out, scale
