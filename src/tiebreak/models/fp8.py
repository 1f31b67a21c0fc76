"""Frozen linear layers in FP8 (e4m3), with one scale per row of the weights and of the activations.

An FP8 product needs both factors with the summed dimension last, so the forward and the backward pass read the weights
in different orientations. Both are stored, each scaled along its own rows. Layers that read the same input (q, k and v;
gate and up) share one matrix, so that one product computes all of them.

Legend of shapes: R rows and C columns of any matrix, T tokens, N outputs; `in` and `out` features of a linear layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn

FP8: Final = torch.float8_e4m3fn
FP8_MAX: Final = 448.0

SHARED_INPUT: Final = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Names of layers that read the same input, in all transformers models that have them."""

Rows = tuple[Tensor, Tensor]
"""e4m3 values [R, C] and float32 scales [R, 1]; the matrix is their product."""


@cache
def supports_fp8(device: torch.device) -> bool:
    """Whether the device multiplies FP8 matrices: Ada, Hopper and later. On others, products run in float32."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


def quantize_rows(x: Tensor) -> Rows:
    """Quantize x [R, C] of any floating-point type to e4m3 with one scale per row."""
    scale = x.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-12) / FP8_MAX
    return (x.float() / scale).clamp(-FP8_MAX, FP8_MAX).to(FP8), scale


def multiply(left: Rows, right: Rows, dtype: torch.dtype, bias: Tensor | None = None) -> Tensor:
    """left [T, C] times the transpose of right [N, C], plus `bias` [N] -> [T, N] in `dtype`, summed in float32."""
    if supports_fp8(left[0].device):
        return torch._scaled_mm(
            left[0], right[0].t(), scale_a=left[1], scale_b=right[1].t(), bias=bias, out_dtype=dtype,
            use_fast_accum=True,
        )  # fmt: skip
    product = (left[0].float() * left[1]) @ (right[0].float() * right[1]).t()
    return (product if bias is None else product + bias.float()).to(dtype)


@dataclass(frozen=True)
class Fp8Matrix:
    """A weight [out, in] in both orientations."""

    rows: Rows
    """e4m3 [out, in], scales [out, 1]"""
    columns: Rows
    """e4m3 [in, out], scales [in, 1]"""

    @classmethod
    def of(cls, weight: Tensor) -> Fp8Matrix:
        """Quantize a weight [out, in]."""
        turned, scale = quantize_rows(weight.t())
        return cls(quantize_rows(weight), (turned.contiguous(), scale))

    def part(self, first: int, last: int) -> Fp8Matrix:
        """The weight of the outputs first:last, as views."""
        (rows, row_scale), (columns, column_scale) = self.rows, self.columns
        return Fp8Matrix((rows[first:last], row_scale[first:last]), (columns[:, first:last], column_scale))


class Fp8Linear(nn.Linear):
    """A frozen linear layer in FP8.

    Its `weight` [out, in] is the e4m3 matrix as plain bytes, because libraries copy a weight's type to the parameters
    that they add next to it.

    Args:
        matrix: the weight.
        bias: [out] or None.
        shared: the matrix of all layers that read the same input; `matrix` is a part of it.
    """

    def __init__(self, matrix: Fp8Matrix, bias: Tensor | None, shared: Fp8Matrix) -> None:
        outputs, inputs = matrix.rows[0].shape
        super().__init__(inputs, outputs, bias=False, device="meta")
        self.weight = nn.Parameter(matrix.rows[0].view(torch.uint8), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)  # type: ignore[assignment]
        self.matrix, self.shared = matrix, shared

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out] in the input's type, or autocast's."""
        kind = input.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else input.dtype
        rows = input.reshape(-1, self.in_features).to(dtype)
        flat: Tensor = _Product.apply(rows, self)  # type: ignore[no-untyped-call]
        if self.bias is not None:  # outside _Product, so that autograd sees it: it may be trained
            flat = flat + self.bias.to(dtype)
        return flat.view(*input.shape[:-1], self.out_features)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Fp8Linear) -> Tensor:
        ctx.layer = layer
        return multiply(quantize_rows(x), layer.matrix.rows, x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return multiply(quantize_rows(grads[0]), ctx.layer.matrix.columns, grads[0].dtype), None


def quantize_to_fp8(model: nn.Module, device: torch.device, *, skip: str) -> None:
    """Replace a model's linear layers by frozen FP8 ones on `device`, and move everything else there.

    Args:
        model: with weights in an unquantized floating-point type.
        device: the FP8 weights are made there layer by layer, so the unquantized model need not fit.
        skip: the name of the layer that is not replaced (the head).
    """
    for parent in list(model.modules()):
        linear = {name: child for name, child in parent.named_children() if type(child) is nn.Linear and name != skip}
        for names in _groups(linear):
            layers = [linear[name] for name in names]
            matrix = Fp8Matrix.of(torch.cat([layer.weight.detach().to(device) for layer in layers]))
            first = 0
            for name, layer in zip(names, layers, strict=True):
                bias = None if layer.bias is None else layer.bias.detach().to(device)
                part = matrix.part(first, first + layer.out_features)
                setattr(parent, name, Fp8Linear(part, bias, matrix))
                first += layer.out_features
            del layers
    model.to(device)


def _groups(linear: dict[str, nn.Linear]) -> Iterator[Sequence[str]]:
    """Layers that read the same input together, every other layer alone."""
    for names in SHARED_INPUT:
        if all(name in linear for name in names):
            yield names
    together = {name for names in SHARED_INPUT if all(n in linear for n in names) for name in names}
    yield from ((name,) for name in linear if name not in together)
