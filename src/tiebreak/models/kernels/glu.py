"""Gated linear units (Shazeer 2020), GeGLU with the tanh form of GELU and SwiGLU, fused with the cast to FP8."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from tiebreak.models.architectures import Gating
from tiebreak.models.kernels.fp8 import PLAIN, Activation, Forms, largest_of, load_row, store_row


@triton.jit
def _activate(x, GELU: tl.constexpr):
    """The activation and its derivative."""
    if GELU:
        inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)  # sqrt(2 / pi)
        bent = 1.0 - 2.0 / (tl.exp(2.0 * inner) + 1.0)  # tanh
        slope = 0.5 * (1.0 + bent) + 0.5 * x * (1.0 - bent * bent) * 0.7978845608028654 * (1.0 + 0.134145 * x * x)
        return 0.5 * x * (1.0 + bent), slope
    gate = 1.0 / (1.0 + tl.exp(-x))
    return x * gate, gate * (1.0 + x * (1.0 - gate))


@triton.jit
def _glu_kernel(
    both_ptr, out_ptr, fp8_ptr, scale_ptr, columns,
    GELU: tl.constexpr, PLAIN: tl.constexpr, QUANTISED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < columns
    gate = load_row(both_ptr, row, at, 2 * columns, inside)
    up = load_row(both_ptr, row, columns + at, 2 * columns, inside)
    active, _ = _activate(gate, GELU)
    out = active * up
    # Where it is quantised the block is the whole row.
    store_row(out, out_ptr, fp8_ptr, scale_ptr, row, at, columns, inside, largest_of(out), PLAIN, QUANTISED)


@triton.jit
def _glu_backward_kernel(
    grad_ptr, both_ptr, out_ptr, fp8_ptr, scale_ptr, columns,
    GELU: tl.constexpr, PLAIN: tl.constexpr, QUANTISED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < columns
    gate = load_row(both_ptr, row, at, 2 * columns, inside)
    up = load_row(both_ptr, row, columns + at, 2 * columns, inside)
    grad = load_row(grad_ptr, row, at, columns, inside)
    active, slope = _activate(gate, GELU)
    gate, up = grad * up * slope, grad * active
    largest = largest_of(tl.maximum(tl.abs(gate), tl.abs(up)))
    width = 2 * columns
    store_row(gate, out_ptr, fp8_ptr, scale_ptr, row, at, width, inside, largest, PLAIN, QUANTISED)
    store_row(up, out_ptr, fp8_ptr, scale_ptr, row, columns + at, width, inside, largest, PLAIN, QUANTISED)


def glu(both: Tensor, gating: Gating, *, forms: Forms = PLAIN) -> Activation:
    """activation(gate) * up, [T, C], from [T, 2 C] that holds gate and up side by side."""
    columns = both.shape[1] // 2
    out = Activation.empty(len(both), columns, both, forms)
    block, warps = _block(columns, forms, 16)
    _glu_kernel[len(both), triton.cdiv(columns, block)](
        both, *out.pointers, columns,
        GELU=gating == "gelu_tanh", PLAIN=forms.plain, QUANTISED=forms.fp8, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return out


def glu_backward(grad: Tensor, both: Tensor, gating: Gating, *, forms: Forms = PLAIN) -> Activation:
    """The gradient of `both`, [T, 2 C], from that of `glu`'s outcome, [T, C]."""
    columns = both.shape[1] // 2
    out = Activation.empty(len(both), 2 * columns, both, forms)
    block, warps = _block(columns, forms, 32)
    _glu_backward_kernel[len(both), triton.cdiv(columns, block)](
        grad, both, *out.pointers, columns,
        GELU=gating == "gelu_tanh", PLAIN=forms.plain, QUANTISED=forms.fp8, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return out


def _block(columns: int, forms: Forms, most_warps: int) -> tuple[int, int]:
    """Columns a program takes, and its warps.

    A row's FP8 scale is known when all of it was seen; held in registers meanwhile, it is read but once.
    """
    block = triton.next_power_of_2(columns) if forms.fp8 else min(triton.next_power_of_2(columns), 2048)
    return block, max(4, min(most_warps, block // 512))
