"""Gated linear units (Shazeer 2020), GeGLU (tanh approximation of GELU) and SwiGLU, fused with the cast to FP8.

Legend of shapes: T rows (tokens), C columns of the output (`columns`). `both` is [T, 2 C]: gate, then up. `grad` and
the output of the forward kernel are [T, C]; the output of the backward kernel is [T, 2 C]. All are contiguous. A
program computes BLOCK columns of one row, or the whole row if the output is quantized.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from tiebreak.models.architectures import Gating
from tiebreak.models.kernels.fp8 import PLAIN, Activation, Forms, load_row, row_amax, store_row


@triton.jit
def _activate(x, GELU: tl.constexpr):
    """The activation of x and its derivative."""
    if GELU:
        inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)  # sqrt(2 / pi)
        tanh = 1.0 - 2.0 / (tl.exp(2.0 * inner) + 1.0)
        slope = 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * 0.7978845608028654 * (1.0 + 0.134145 * x * x)
        return 0.5 * x * (1.0 + tanh), slope
    gate = 1.0 / (1.0 + tl.exp(-x))
    return x * gate, gate * (1.0 + x * (1.0 - gate))


@triton.jit
def _glu_kernel(
    both_ptr, out_ptr, fp8_ptr, scale_ptr, columns,
    GELU: tl.constexpr, PLAIN: tl.constexpr, QUANTIZED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < columns
    gate = load_row(both_ptr, row, at, 2 * columns, inside)
    up = load_row(both_ptr, row, columns + at, 2 * columns, inside)
    active, _ = _activate(gate, GELU)
    out = active * up
    # If QUANTIZED, the block is the whole row, so this is the absmax of the row.
    store_row(out, out_ptr, fp8_ptr, scale_ptr, row, at, columns, inside, row_amax(out), PLAIN, QUANTIZED)


@triton.jit
def _glu_backward_kernel(
    grad_ptr, both_ptr, out_ptr, fp8_ptr, scale_ptr, columns,
    GELU: tl.constexpr, PLAIN: tl.constexpr, QUANTIZED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < columns
    gate = load_row(both_ptr, row, at, 2 * columns, inside)
    up = load_row(both_ptr, row, columns + at, 2 * columns, inside)
    grad = load_row(grad_ptr, row, at, columns, inside)
    active, slope = _activate(gate, GELU)
    gate, up = grad * up * slope, grad * active
    amax = row_amax(tl.maximum(tl.abs(gate), tl.abs(up)))
    width = 2 * columns
    store_row(gate, out_ptr, fp8_ptr, scale_ptr, row, at, width, inside, amax, PLAIN, QUANTIZED)
    store_row(up, out_ptr, fp8_ptr, scale_ptr, row, columns + at, width, inside, amax, PLAIN, QUANTIZED)


def glu(both: Tensor, gating: Gating, *, forms: Forms = PLAIN) -> Activation:
    """activation(gate) * up: [T, 2 C], gate and up side by side -> [T, C]."""
    columns = both.shape[1] // 2
    out = Activation.empty(len(both), columns, both, forms)
    block, warps = _block(columns, forms, 16)
    _glu_kernel[len(both), triton.cdiv(columns, block)](
        both, *out.pointers, columns,
        GELU=gating == "gelu_tanh", PLAIN=forms.plain, QUANTIZED=forms.fp8, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return out


def glu_backward(grad: Tensor, both: Tensor, gating: Gating, *, forms: Forms = PLAIN) -> Activation:
    """The gradient of `both` [T, 2 C], given `grad` [T, C], the gradient of the output of `glu`."""
    columns = both.shape[1] // 2
    out = Activation.empty(len(both), 2 * columns, both, forms)
    block, warps = _block(columns, forms, 32)
    _glu_backward_kernel[len(both), triton.cdiv(columns, block)](
        grad, both, *out.pointers, columns,
        GELU=gating == "gelu_tanh", PLAIN=forms.plain, QUANTIZED=forms.fp8, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return out


def _block(columns: int, forms: Forms, most_warps: int) -> tuple[int, int]:
    """Columns per program, and number of warps.

    The FP8 scale depends on the whole row. One program per row keeps the row in registers and reads it once.
    """
    block = triton.next_power_of_2(columns) if forms.fp8 else min(triton.next_power_of_2(columns), 2048)
    return block, max(4, min(most_warps, block // 512))
