"""Groups of linear layers that read the same input (q, k, v; gate, up): frozen weights, and LoRA beside them.

A group's outputs lie side by side in one matrix.

Legend of shapes: T tokens, I inputs, O outputs of all members, R ranks of all adapted members.
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


class Member:
    """One linear layer, as PEFT left it, maybe with LoRA matrices beside it."""

    def __init__(self, module: nn.Module) -> None:
        wrapper: Any = module
        self._module = wrapper
        self.base: nn.Linear = wrapper.base_layer if hasattr(wrapper, "base_layer") else wrapper
        self._four_bit = FourBitMatrix.of(self.base.weight) if hasattr(self.base.weight, "quant_state") else None
        self._adapter: str | None = wrapper.active_adapters[0] if hasattr(wrapper, "base_layer") else None

    @property
    def adapted(self) -> bool:
        """Whether there are LoRA matrices."""
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
        """What B A is multiplied by."""
        return float(self._module.scaling[self._adapter])

    @property
    def dropout(self) -> float:
        """The share of LoRA's inputs that is dropped in training."""
        return float(getattr(self._module.lora_dropout[self._adapter], "p", 0.0)) if self.adapted else 0.0

    def weight(self, dtype: torch.dtype) -> Tensor:
        """The frozen weight [o, I] in the compute type, dequantised if need be."""
        if self._four_bit is not None:
            return self._four_bit.dequantise(dtype)
        return self.base.weight.to(dtype)


@dataclass(frozen=True)
class Inner:
    """What LoRA's backward pass needs beside the input: x A^T [T, R], and the seed of the input's dropout."""

    product: Tensor
    seed: int


class Group:
    """Linear layers that read the same input, computed forwards and backwards without autograd.

    Args:
        modules: the layers, plain, quantised (4 bits, FP8) or wrapped by PEFT.
        dtype: the type of products and outputs.
    """

    def __init__(self, modules: Sequence[nn.Module], dtype: torch.dtype) -> None:
        self._members = [Member(module) for module in modules]
        self._adapted = [member for member in self._members if member.adapted]
        self._dtype = dtype
        base = self._members[0].base
        self._fp8 = base.siblings if isinstance(base, Fp8Linear) else None
        self.takes = Forms(plain=bool(self._adapted) or self._fp8 is None, fp8=self._fp8 is not None)
        self._outputs = [member.base.out_features for member in self._members]
        # One mask for all members: they read the same input.
        self._dropout = max((member.dropout for member in self._members), default=0.0)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """A and B of each adapted member in turn."""
        return [matrix for member in self._adapted for matrix in (member.a, member.b)]

    def forward(self, x: Activation, *, training: bool) -> tuple[Tensor, Inner | None]:
        """[T, I] -> [T, O]."""
        if self._fp8 is not None:
            assert x.fp8 is not None
            biases = [member.bias for member in self._members if member.bias is not None]
            out = multiply(x.fp8, self._fp8.rows, self._dtype, torch.cat(biases).to(self._dtype) if biases else None)
        else:
            assert x.plain is not None
            out = torch.empty((len(x.plain), sum(self._outputs)), dtype=self._dtype, device=x.plain.device)
            for member, part in zip(self._members, torch.split(out, self._outputs, dim=1), strict=True):
                weight, bias = member.weight(self._dtype).t(), member.bias
                if bias is None:
                    torch.mm(x.plain, weight, out=part)
                else:
                    torch.addmm(bias.to(self._dtype), x.plain, weight, out=part)
        if not self._adapted:
            return out, None
        assert x.plain is not None
        seed = int(torch.randint(1, 2**31, ())) if training and self._dropout else 0
        inner = Inner(self._dropped(x.plain, seed) @ self._all_a().t(), seed)
        for member, part, product in self._parts(out, inner.product):
            part.addmm_(product, (member.b * member.scaling).to(self._dtype).t())
        return out, inner

    def backward(
        self, grad: Activation, x: Tensor | None, inner: Inner | None, *, wants_x: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The gradients of the input [T, I] (None where it is not wanted) and of `parameters`.

        Args:
            grad: of the outputs, [T, O].
            x: the input; needed where there is LoRA.
            inner: what `forward` returned.
            wants_x: whether anything before this group is trained.
        """
        grad_x: Tensor | None = None
        if wants_x and self._fp8 is not None:
            assert grad.fp8 is not None
            grad_x = multiply(grad.fp8, self._fp8.columns, self._dtype)
        elif wants_x:
            assert grad.plain is not None
            for member, part in zip(self._members, torch.split(grad.plain, self._outputs, dim=1), strict=True):
                weight = member.weight(self._dtype)
                grad_x = part @ weight if grad_x is None else grad_x.addmm_(part, weight)
        if inner is None:
            return grad_x, []
        assert grad.plain is not None
        assert x is not None
        grad_inner = torch.empty_like(inner.product)
        grads_b = []
        for member, part, product, grad_product in self._parts(grad.plain, inner.product, grad_inner):
            torch.mm(part, (member.b * member.scaling).to(self._dtype), out=grad_product)
            grads_b.append((part.t() @ product).to(member.b.dtype) * member.scaling)
        grads_a = torch.split(
            grad_inner.t() @ self._dropped(x, inner.seed), [len(member.a) for member in self._adapted]
        )
        if grad_x is not None:
            if inner.seed:
                dropout(grad_inner @ self._all_a(), self._dropout, inner.seed, add_to=grad_x)
            else:
                grad_x.addmm_(grad_inner, self._all_a())
        pairs = zip(self._adapted, grads_a, grads_b, strict=True)
        return grad_x, [matrix for member, a, b in pairs for matrix in (a.to(member.a.dtype), b)]

    def _dropped(self, x: Tensor, seed: int) -> Tensor:
        return dropout(x, self._dropout, seed) if seed else x

    def _all_a(self) -> Tensor:
        """[R, I] in the compute type."""
        return torch.cat([member.a.to(self._dtype) for member in self._adapted])

    def _parts(self, outputs: Tensor, *inners: Tensor) -> Iterator[tuple[Any, ...]]:
        """Each adapted member with its columns of [T, O] and of matrices [T, R]."""
        ranks = [len(member.a) for member in self._adapted]
        columns = dict(zip(map(id, self._members), torch.split(outputs, self._outputs, dim=1), strict=True))
        yield from zip(
            self._adapted,
            (columns[id(m)] for m in self._adapted),
            *(torch.split(i, ranks, dim=1) for i in inners),
            strict=True,
        )
