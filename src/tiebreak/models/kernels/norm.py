"""RMSNorm (Zhang and Sennrich 2019) of frozen gain, fused with the residual stream and with the cast to FP8.

Gains are given as what multiplies: for Gemma, one plus the weight. Everything is computed in float32 and rounded once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from tiebreak.models.kernels.fp8 import PLAIN, Activation, Forms, largest_of, load_row, store_row


@triton.jit
def _rate(x, columns, epsilon):
    """One over the root of the mean square."""
    return 1.0 / tl.sqrt_rn(tl.sum(x * x, 0) / columns + epsilon)


@triton.jit
def _norm_kernel(
    x_ptr, gain_ptr, residual_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    RESIDUAL: tl.constexpr, PLAIN: tl.constexpr, QUANTISED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = load_row(x_ptr, row, at, columns, inside)
    gain = load_row(gain_ptr, 0, at, columns, inside)
    out = x * _rate(x, columns, epsilon) * gain
    if RESIDUAL:
        out += load_row(residual_ptr, row, at, columns, inside)
    store_row(out, out_ptr, fp8_ptr, scale_ptr, row, at, columns, inside, largest_of(out), PLAIN, QUANTISED)


@triton.jit
def _join_kernel(
    x_ptr, gain_ptr, residual_ptr, next_gain_ptr, joined_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    NORMED: tl.constexpr, PLAIN: tl.constexpr, QUANTISED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = load_row(x_ptr, row, at, columns, inside)
    if NORMED:
        gain = load_row(gain_ptr, 0, at, columns, inside)
        x = x * _rate(x, columns, epsilon) * gain
    x += load_row(residual_ptr, row, at, columns, inside)
    joined = x.to(joined_ptr.dtype.element_ty)
    tl.store(joined_ptr + row * columns + at, joined, mask=inside)
    x = joined.to(tl.float32)  # what the next norm reads is what the residual stream holds
    gain = load_row(next_gain_ptr, 0, at, columns, inside)
    out = x * _rate(x, columns, epsilon) * gain
    store_row(out, out_ptr, fp8_ptr, scale_ptr, row, at, columns, inside, largest_of(out), PLAIN, QUANTISED)


@triton.jit
def _norm_backward_kernel(
    grad_ptr, x_ptr, gain_ptr, residual_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    RESIDUAL: tl.constexpr, PLAIN: tl.constexpr, QUANTISED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = load_row(x_ptr, row, at, columns, inside)
    gain = load_row(gain_ptr, 0, at, columns, inside)
    grad = load_row(grad_ptr, row, at, columns, inside) * gain
    rate = _rate(x, columns, epsilon)
    out = rate * (grad - x * (rate * rate * tl.sum(grad * x, 0) / columns))
    if RESIDUAL:
        out += load_row(residual_ptr, row, at, columns, inside)
    store_row(out, out_ptr, fp8_ptr, scale_ptr, row, at, columns, inside, largest_of(out), PLAIN, QUANTISED)


def norm(
    x: Tensor, gain: Tensor, epsilon: float, *, residual: Tensor | None = None, forms: Forms = PLAIN
) -> Activation:
    """gain * x / rms(x), plus `residual` where there is one.

    Args:
        x: [T, C], contiguous.
        gain: [C].
        epsilon: added to the mean square.
        residual: [T, C], contiguous.
        forms: of the outcome, [T, C].
    """
    return _run(_norm_kernel, (x, gain, residual), x, epsilon, forms)


def norm_backward(
    grad: Tensor, x: Tensor, gain: Tensor, epsilon: float, *, residual: Tensor | None = None, forms: Forms = PLAIN
) -> Activation:
    """The gradient of x, [T, C], from that of `norm`'s outcome, plus `residual`."""
    return _run(_norm_backward_kernel, (grad, x, gain, residual), x, epsilon, forms)


def join(
    x: Tensor, gain: Tensor | None, residual: Tensor, next_gain: Tensor, epsilon: float, *, forms: Forms = PLAIN
) -> tuple[Tensor, Activation]:
    """residual + norm(x), [T, C], and the next norm of that, in one reading; x itself is added where `gain` is None."""
    joined = torch.empty_like(x)
    out = Activation.empty(len(x), x.shape[1], x, forms)
    block = triton.next_power_of_2(x.shape[1])
    _join_kernel[(len(x),)](
        x, gain, residual, next_gain, joined, *out.pointers, x.shape[1], epsilon,
        NORMED=gain is not None, PLAIN=forms.plain, QUANTISED=forms.fp8, BLOCK=block,
        num_warps=16 if block >= 4096 else 4,
    )  # fmt: skip
    return joined, out


def _run(
    kernel: triton.JITFunction, inputs: tuple[Tensor | None, ...], x: Tensor, epsilon: float, forms: Forms
) -> Activation:
    out = Activation.empty(len(x), x.shape[1], x, forms)
    kernel[(len(x),)](
        *inputs, *out.pointers, x.shape[1], epsilon,
        RESIDUAL=inputs[-1] is not None, PLAIN=forms.plain, QUANTISED=forms.fp8,
        BLOCK=triton.next_power_of_2(x.shape[1]), num_warps=4,
    )  # fmt: skip
    return out
