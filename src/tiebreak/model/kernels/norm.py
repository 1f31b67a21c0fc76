"""RMSNorm (Zhang and Sennrich 2019) of frozen gain, fused with the residual stream and with the cast to FP8.

Gains are given as what multiplies: for Gemma, one plus the weight. Everything is computed in float32 and rounded once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from tiebreak.model.kernels.quantise import FP8, FP8_MAX, TINY, to_fp8


@triton.jit
def _norm_kernel(
    x_ptr, gain_ptr, residual_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    RESIDUAL: tl.constexpr, PLAIN: tl.constexpr, QUANTISED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = tl.load(x_ptr + row * columns + at, mask=inside, other=0.0).to(tl.float32)
    gain = tl.load(gain_ptr + at, mask=inside, other=0.0).to(tl.float32)
    out = x * (1.0 / tl.sqrt_rn(tl.sum(x * x, 0) / columns + epsilon)) * gain
    if RESIDUAL:
        out += tl.load(residual_ptr + row * columns + at, mask=inside, other=0.0).to(tl.float32)
    if PLAIN:
        tl.store(out_ptr + row * columns + at, out.to(out_ptr.dtype.element_ty), mask=inside)
    if QUANTISED:
        largest = tl.maximum(tl.max(tl.abs(out), 0), TINY)
        tl.store(scale_ptr + row, largest / FP8_MAX)
        tl.store(fp8_ptr + row * columns + at, to_fp8(out, largest), mask=inside)


@triton.jit
def _join_kernel(
    x_ptr, gain_ptr, residual_ptr, next_gain_ptr, joined_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    NORMED: tl.constexpr, PLAIN: tl.constexpr, QUANTISED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = tl.load(x_ptr + row * columns + at, mask=inside, other=0.0).to(tl.float32)
    if NORMED:
        gain = tl.load(gain_ptr + at, mask=inside, other=0.0).to(tl.float32)
        x = x * (1.0 / tl.sqrt_rn(tl.sum(x * x, 0) / columns + epsilon)) * gain
    x += tl.load(residual_ptr + row * columns + at, mask=inside, other=0.0).to(tl.float32)
    joined = x.to(joined_ptr.dtype.element_ty)
    tl.store(joined_ptr + row * columns + at, joined, mask=inside)
    x = joined.to(tl.float32)  # what the next norm reads is what the residual stream holds
    gain = tl.load(next_gain_ptr + at, mask=inside, other=0.0).to(tl.float32)
    out = x * (1.0 / tl.sqrt_rn(tl.sum(x * x, 0) / columns + epsilon)) * gain
    if PLAIN:
        tl.store(out_ptr + row * columns + at, out.to(out_ptr.dtype.element_ty), mask=inside)
    if QUANTISED:
        largest = tl.maximum(tl.max(tl.abs(out), 0), TINY)
        tl.store(scale_ptr + row, largest / FP8_MAX)
        tl.store(fp8_ptr + row * columns + at, to_fp8(out, largest), mask=inside)


@triton.jit
def _norm_backward_kernel(
    grad_ptr, x_ptr, gain_ptr, residual_ptr, out_ptr, fp8_ptr, scale_ptr, columns, epsilon,
    RESIDUAL: tl.constexpr, PLAIN: tl.constexpr, QUANTISED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    x = tl.load(x_ptr + row * columns + at, mask=inside, other=0.0).to(tl.float32)
    gain = tl.load(gain_ptr + at, mask=inside, other=0.0).to(tl.float32)
    grad = tl.load(grad_ptr + row * columns + at, mask=inside, other=0.0).to(tl.float32) * gain
    rate = 1.0 / tl.sqrt_rn(tl.sum(x * x, 0) / columns + epsilon)
    out = rate * (grad - x * (rate * rate * tl.sum(grad * x, 0) / columns))
    if RESIDUAL:
        out += tl.load(residual_ptr + row * columns + at, mask=inside, other=0.0).to(tl.float32)
    if PLAIN:
        tl.store(out_ptr + row * columns + at, out.to(out_ptr.dtype.element_ty), mask=inside)
    if QUANTISED:
        largest = tl.maximum(tl.max(tl.abs(out), 0), TINY)
        tl.store(scale_ptr + row, largest / FP8_MAX)
        tl.store(fp8_ptr + row * columns + at, to_fp8(out, largest), mask=inside)


def norm(
    x: Tensor, gain: Tensor, epsilon: float, *, residual: Tensor | None = None, plain: bool = True, fp8: bool = False
) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
    """gain * x / rms(x), plus `residual` where there is one.

    Args:
        x: [T, C], contiguous.
        gain: [C].
        epsilon: added to the mean square.
        residual: [T, C], contiguous.
        plain: return the outcome in x's type.
        fp8: return it in e4m3, with its row scales.

    Returns:
        [T, C] or None; (e4m3 [T, C], scales [T, 1]) or None.
    """
    return _run(_norm_kernel, (x, gain, residual), x, epsilon, plain=plain, fp8=fp8)


def join(
    x: Tensor, gain: Tensor | None, residual: Tensor, next_gain: Tensor, epsilon: float, *,
    plain: bool = True, fp8: bool = False,
) -> tuple[Tensor, Tensor | None, tuple[Tensor, Tensor] | None]:  # fmt: skip
    """residual + norm(x), and the next norm of that, in one reading; x itself is added where `gain` is None.

    Returns:
        The sum [T, C] in x's type, and its norm as `norm` returns it.
    """
    joined, out = torch.empty_like(x), torch.empty_like(x) if plain else None
    values = torch.empty(x.shape, dtype=FP8, device=x.device) if fp8 else None
    scale = torch.empty((len(x), 1), dtype=torch.float32, device=x.device) if fp8 else None
    block = triton.next_power_of_2(x.shape[1])
    _join_kernel[(len(x),)](
        x, gain, residual, next_gain, joined, out, values, scale, x.shape[1], epsilon,
        NORMED=gain is not None, PLAIN=plain, QUANTISED=fp8, BLOCK=block, num_warps=8 if block >= 2048 else 4,
    )  # fmt: skip
    return joined, out, None if values is None or scale is None else (values, scale)


def norm_backward(
    grad: Tensor, x: Tensor, gain: Tensor, epsilon: float, *, residual: Tensor | None = None,
    plain: bool = True, fp8: bool = False,
) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:  # fmt: skip
    """The gradient of x from that of `norm`'s outcome, plus `residual`; returns as `norm` does."""
    return _run(_norm_backward_kernel, (grad, x, gain, residual), x, epsilon, plain=plain, fp8=fp8)


def _run(
    kernel: triton.JITFunction, inputs: tuple[Tensor | None, ...], x: Tensor, epsilon: float, *, plain: bool, fp8: bool
) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
    rows, columns = x.shape
    out = torch.empty_like(x) if plain else None
    values = torch.empty((rows, columns), dtype=FP8, device=x.device) if fp8 else None
    scale = torch.empty((rows, 1), dtype=torch.float32, device=x.device) if fp8 else None
    block = triton.next_power_of_2(columns)
    kernel[(rows,)](
        *inputs, out, values, scale, columns, epsilon,
        RESIDUAL=inputs[-1] is not None, PLAIN=plain, QUANTISED=fp8, BLOCK=block,
        num_warps=8 if block >= 2048 else 4,
    )  # fmt: skip
    return out, None if values is None or scale is None else (values, scale)
