"""RMSNorm (Zhang and Sennrich 2019) with a frozen gain, fused with the residual addition and the cast to FP8.

A gain is the factor itself: for Gemma, one plus the weight. Everything is computed in float32 and rounded once.

Legend of shapes: T rows (tokens), C columns (`columns`, the hidden size). x, `grad`, `residual` and the outputs are
[T, C], contiguous; gains are [C]; FP8 scales are [T, 1]. A program computes one row; BLOCK is C rounded up to a power
of two.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from tiebreak.models.kernels.fp8 import PLAIN, Activation, Forms, load_row, row_amax, store_row


@triton.jit
def _inverse_rms(x, columns, epsilon):
    """1 / sqrt(mean(x^2) + epsilon) of a row."""
    return 1.0 / tl.sqrt_rn(tl.sum(x * x, 0) / columns + epsilon)


@triton.jit
def _norm_kernel(
    x_ptr, gain_ptr, residual_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    RESIDUAL: tl.constexpr, PLAIN: tl.constexpr, QUANTIZED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = load_row(x_ptr, row, at, columns, inside)
    gain = load_row(gain_ptr, 0, at, columns, inside)
    out = x * _inverse_rms(x, columns, epsilon) * gain
    if RESIDUAL:
        out += load_row(residual_ptr, row, at, columns, inside)
    store_row(out, out_ptr, fp8_ptr, scale_ptr, row, at, columns, inside, row_amax(out), PLAIN, QUANTIZED)


@triton.jit
def _join_kernel(
    x_ptr, gain_ptr, residual_ptr, next_gain_ptr, joined_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    NORMED: tl.constexpr, PLAIN: tl.constexpr, QUANTIZED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = load_row(x_ptr, row, at, columns, inside)
    if NORMED:
        gain = load_row(gain_ptr, 0, at, columns, inside)
        x = x * _inverse_rms(x, columns, epsilon) * gain
    x += load_row(residual_ptr, row, at, columns, inside)
    joined = x.to(joined_ptr.dtype.element_ty)
    tl.store(joined_ptr + row * columns + at, joined, mask=inside)
    x = joined.to(tl.float32)  # the next norm reads the rounded residual stream, as without fusion
    gain = load_row(next_gain_ptr, 0, at, columns, inside)
    out = x * _inverse_rms(x, columns, epsilon) * gain
    store_row(out, out_ptr, fp8_ptr, scale_ptr, row, at, columns, inside, row_amax(out), PLAIN, QUANTIZED)


@triton.jit
def _norm_backward_kernel(
    grad_ptr, x_ptr, gain_ptr, residual_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    RESIDUAL: tl.constexpr, PLAIN: tl.constexpr, QUANTIZED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = load_row(x_ptr, row, at, columns, inside)
    gain = load_row(gain_ptr, 0, at, columns, inside)
    grad = load_row(grad_ptr, row, at, columns, inside) * gain
    inverse_rms = _inverse_rms(x, columns, epsilon)
    out = inverse_rms * (grad - x * (inverse_rms * inverse_rms * tl.sum(grad * x, 0) / columns))
    if RESIDUAL:
        out += load_row(residual_ptr, row, at, columns, inside)
    store_row(out, out_ptr, fp8_ptr, scale_ptr, row, at, columns, inside, row_amax(out), PLAIN, QUANTIZED)


def norm(
    x: Tensor, gain: Tensor, epsilon: float, *, residual: Tensor | None = None, forms: Forms = PLAIN
) -> Activation:
    """gain * x / rms(x), plus `residual` if there is one.

    Args:
        x: [T, C], contiguous.
        gain: [C].
        epsilon: added to the mean square.
        residual: [T, C], contiguous.
        forms: formats of the output [T, C].
    """
    return _run(_norm_kernel, (x, gain, residual), x, epsilon, forms)


def norm_backward(
    grad: Tensor, x: Tensor, gain: Tensor, epsilon: float, *, residual: Tensor | None = None, forms: Forms = PLAIN
) -> Activation:
    """The gradient of x [T, C], given `grad`, the gradient of the output of `norm`; plus `residual` [T, C]."""
    return _run(_norm_backward_kernel, (grad, x, gain, residual), x, epsilon, forms)


def join(
    x: Tensor, gain: Tensor | None, residual: Tensor, next_gain: Tensor, epsilon: float, *, forms: Forms = PLAIN
) -> tuple[Tensor, Activation]:
    """s = residual + norm(x), or residual + x if `gain` is None, and the next norm of s: two results [T, C]."""
    joined = torch.empty_like(x)
    out = Activation.empty(len(x), x.shape[1], x, forms)
    block = triton.next_power_of_2(x.shape[1])
    _join_kernel[(len(x),)](
        x, gain, residual, next_gain, joined, *out.pointers, x.shape[1], epsilon,
        NORMED=gain is not None, PLAIN=forms.plain, QUANTIZED=forms.fp8, BLOCK=block,
        num_warps=16 if block >= 4096 else 4,
    )  # fmt: skip
    return joined, out


def _run(
    kernel: triton.JITFunction, inputs: tuple[Tensor | None, ...], x: Tensor, epsilon: float, forms: Forms
) -> Activation:
    out = Activation.empty(len(x), x.shape[1], x, forms)
    kernel[(len(x),)](
        *inputs, *out.pointers, x.shape[1], epsilon,
        RESIDUAL=inputs[-1] is not None, PLAIN=forms.plain, QUANTIZED=forms.fp8,
        BLOCK=triton.next_power_of_2(x.shape[1]), num_warps=4,
    )  # fmt: skip
    return out
