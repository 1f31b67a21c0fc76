"""Linear layers that read the same input (q, k, v; gate, up), computed together: frozen weights plus LoRA.

The outputs of the layers of one group are concatenated into one matrix.

Legend of shapes: T tokens, I inputs, O outputs of all members, R ranks of all adapted layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tiebreak.models.fp8 import Fp8Linear, multiply
from tiebreak.models.kernels.dropout import dropout
from tiebreak.models.kernels.fp8 import Activation, Forms
from tiebreak.models.kernels.nf4 import FourBitMatrix


class AdaptedLinear:
    """One frozen linear layer, with or without LoRA matrices added by PEFT."""

    def __init__(self, module: nn.Module) -> None:
        wrapper: Any = module
        self._module = wrapper
        self.base: nn.Linear = wrapper.base_layer if hasattr(wrapper, "base_layer") else wrapper
        self._four_bit = FourBitMatrix.of(self.base.weight) if hasattr(self.base.weight, "quant_state") else None
        self._adapter: str | None = wrapper.active_adapters[0] if hasattr(wrapper, "base_layer") else None

    @property
    def adapted(self) -> bool:
        """Whether it has LoRA matrices."""
        return self._adapter is not None

    @property
    def bias(self) -> Tensor | None:
        """[o], frozen."""
        return self.base.bias

    @property
    def a(self) -> nn.Parameter:
        """LoRA's A, [r, I]."""
        return self._module.lora_A[self._adapter].weight  # type: ignore[no-any-return]

    @property
    def b(self) -> nn.Parameter:
        """LoRA's B, [o, r]."""
        return self._module.lora_B[self._adapter].weight  # type: ignore[no-any-return]

    @property
    def scaling(self) -> float:
        """The factor of B A."""
        return float(self._module.scaling[self._adapter])

    @property
    def dropout(self) -> float:
        """The dropout rate of LoRA's inputs."""
        return float(getattr(self._module.lora_dropout[self._adapter], "p", 0.0)) if self.adapted else 0.0

    def weight(self, dtype: torch.dtype) -> Tensor:
        """The frozen weight [o, I] in the compute type, dequantized if necessary."""
        if self._four_bit is not None:
            return self._four_bit.dequantize(dtype)
        return self.base.weight.to(dtype)


@dataclass(frozen=True)
class LoraState:
    """What LoRA's backward pass needs besides the input: x A^T [T, R] and the seed of the input's dropout."""

    product: Tensor
    seed: int


class LinearGroup:
    """Linear layers that read the same input: forward and backward pass without autograd.

    Args:
        modules: the layers: plain, quantized (4-bit, FP8) or wrapped by PEFT.
        dtype: the type of products and outputs.
    """

    def __init__(self, modules: Sequence[nn.Module], dtype: torch.dtype) -> None:
        self._layers = [AdaptedLinear(module) for module in modules]
        self._adapted = [layer for layer in self._layers if layer.adapted]
        self._dtype = dtype
        base = self._layers[0].base
        self._fp8 = base.shared if isinstance(base, Fp8Linear) else None
        self.input_forms = Forms(plain=bool(self._adapted) or self._fp8 is None, fp8=self._fp8 is not None)
        self._outputs = [layer.base.out_features for layer in self._layers]
        # One mask for all layers: they read the same input.
        self._dropout = max((layer.dropout for layer in self._layers), default=0.0)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """A and B of each adapted layer in turn."""
        return [matrix for layer in self._adapted for matrix in (layer.a, layer.b)]

    def forward(self, x: Activation, *, training: bool) -> tuple[Tensor, LoraState | None]:
        """[T, I] -> [T, O]."""
        if self._fp8 is not None:
            assert x.fp8 is not None
            biases = [layer.bias for layer in self._layers if layer.bias is not None]
            out = multiply(x.fp8, self._fp8.rows, self._dtype, torch.cat(biases).to(self._dtype) if biases else None)
        else:
            assert x.plain is not None
            out = torch.empty((len(x.plain), sum(self._outputs)), dtype=self._dtype, device=x.plain.device)
            for layer, part in zip(self._layers, torch.split(out, self._outputs, dim=1), strict=True):
                weight, bias = layer.weight(self._dtype).t(), layer.bias
                if bias is None:
                    torch.mm(x.plain, weight, out=part)
                else:
                    torch.addmm(bias.to(self._dtype), x.plain, weight, out=part)
        if not self._adapted:
            return out, None
        assert x.plain is not None
        seed = int(torch.randint(1, 2**31, ())) if training and self._dropout else 0
        state = LoraState(self._dropped(x.plain, seed) @ self._all_a().t(), seed)
        for layer, part, product in self._parts(out, state.product):
            part.addmm_(product, (layer.b * layer.scaling).to(self._dtype).t())
        return out, state

    def backward(
        self, grad: Activation, x: Tensor | None, state: LoraState | None, *, needs_grad_x: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The gradients of the input [T, I] (None if not needed) and of `parameters`.

        Args:
            grad: of the outputs, [T, O].
            x: the input; only needed with LoRA.
            state: as `forward` returned it.
            needs_grad_x: whether anything before this group is trained.
        """
        grad_x: Tensor | None = None
        if needs_grad_x and self._fp8 is not None:
            assert grad.fp8 is not None
            grad_x = multiply(grad.fp8, self._fp8.columns, self._dtype)
        elif needs_grad_x:
            assert grad.plain is not None
            for layer, part in zip(self._layers, torch.split(grad.plain, self._outputs, dim=1), strict=True):
                weight = layer.weight(self._dtype)
                grad_x = part @ weight if grad_x is None else grad_x.addmm_(part, weight)
        if state is None:
            return grad_x, []
        assert grad.plain is not None
        assert x is not None
        grad_product_all = torch.empty_like(state.product)
        grads_b = []
        for layer, part, product, grad_product in self._parts(grad.plain, state.product, grad_product_all):
            torch.mm(part, (layer.b * layer.scaling).to(self._dtype), out=grad_product)
            grads_b.append((part.t() @ product).to(layer.b.dtype) * layer.scaling)
        grads_a = torch.split(
            grad_product_all.t() @ self._dropped(x, state.seed), [len(layer.a) for layer in self._adapted]
        )
        if grad_x is not None:
            if state.seed:
                dropout(grad_product_all @ self._all_a(), self._dropout, state.seed, add_to=grad_x)
            else:
                grad_x.addmm_(grad_product_all, self._all_a())
        pairs = zip(self._adapted, grads_a, grads_b, strict=True)
        return grad_x, [matrix for layer, a, b in pairs for matrix in (a.to(layer.a.dtype), b)]

    def _dropped(self, x: Tensor, seed: int) -> Tensor:
        return dropout(x, self._dropout, seed) if seed else x

    def _all_a(self) -> Tensor:
        """[R, I] in the compute type."""
        return torch.cat([layer.a.to(self._dtype) for layer in self._adapted])

    def _parts(self, outputs: Tensor, *inners: Tensor) -> Iterator[tuple[Any, ...]]:
        """Each adapted layer with its columns of the outputs [T, O] and of matrices [T, R]."""
        ranks = [len(layer.a) for layer in self._adapted]
        columns = dict(zip(map(id, self._layers), torch.split(outputs, self._outputs, dim=1), strict=True))
        yield from zip(
            self._adapted,
            (columns[id(m)] for m in self._adapted),
            *(torch.split(i, ranks, dim=1) for i in inners),
            strict=True,
        )
