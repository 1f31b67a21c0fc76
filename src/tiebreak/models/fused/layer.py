"""Fused decoder layers: explicit forward and backward passes on the kernels of `tiebreak.models.kernels`.

The modules of a layer stay Hugging Face's (names, weights, PEFT's adapters, saving); only their `forward` is replaced.
For the backward pass, a layer saves what is expensive to compute (q, k, v and the attention output, gate and up, the
inputs of the norms) and recomputes the rest; a checkpointed layer saves its input only. After its attention, the last
layer computes the pooled tokens only.

Legend of shapes: T tokens, C hidden size, H query heads, K key/value heads, D head dimension, F intermediate size,
P pooled tokens (one per sequence). In the last layer, tensors after the attention have P rows instead of T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from tiebreak.models.architectures import GATINGS, Architecture
from tiebreak.models.fused.linear import LinearGroup, LoraState
from tiebreak.models.kernels.attention import Scoring, backward, forward
from tiebreak.models.kernels.fp8 import Activation, rows_to_fp8
from tiebreak.models.kernels.glu import glu, glu_backward
from tiebreak.models.kernels.norm import join, norm, norm_backward
from tiebreak.models.kernels.rope import rope_

if TYPE_CHECKING:
    from tiebreak.models.pack_layout import PackLayout


@dataclass
class SavedActivations:
    """The tensors of a layer's forward pass that its backward pass reads."""

    h: Tensor
    """[T, C]: input of the layer."""
    qkv: Tensor
    """[T, (H + 2 K) D]: q, k and v, with rotary embeddings applied to q and k."""
    out: Tensor
    """[T, H, D]: output of the attention."""
    lse: Tensor
    """[H, T]: log2 of the sum of exp(scores)."""
    attended: Tensor | None
    """[T, C]: output of `o_proj`; None if no norm follows it."""
    middle: Tensor
    """[T, C]: the residual stream between attention and feed-forward."""
    gate_up: Tensor
    """[T, 2 F]: outputs of `gate_proj` and `up_proj`."""
    fed: Tensor | None
    """[T, C]: output of `down_proj`; None if no norm follows it."""
    lora_states: list[LoraState | None]


class _Norm:
    """The gain of one RMSNorm, float32 [C], and its epsilon."""

    def __init__(self, module: Any, offset: float) -> None:
        self.gain = (module.weight.detach().float() + offset).contiguous()
        self.epsilon = float(getattr(module, "variance_epsilon", getattr(module, "eps", 1e-6)))


class FusedLayer:
    """One decoder layer; called in place of its module's `forward`.

    Args:
        layer: the module.
        config: the model's configuration.
        architecture: the norms and the activation of this kind of model.
        dtype: the compute type.
        last: whether it is the last layer, which returns the pooled tokens only.
    """

    def __init__(self, layer: Any, config: Any, architecture: Architecture, dtype: torch.dtype, *, last: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        offset = architecture.gain_offset
        self._before = _Norm(layer.input_layernorm, offset)
        self._after = self._after_mlp = None
        if architecture.post_norms:
            self._after = _Norm(layer.post_attention_layernorm, offset)
            self._after_mlp = _Norm(layer.post_feedforward_layernorm, offset)
            self._before_mlp = _Norm(layer.pre_feedforward_layernorm, offset)
        else:
            self._before_mlp = _Norm(layer.post_attention_layernorm, offset)
        self._groups = (
            LinearGroup([attention.q_proj, attention.k_proj, attention.v_proj], dtype),
            LinearGroup([attention.o_proj], dtype),
            LinearGroup([mlp.gate_proj, mlp.up_proj], dtype),
            LinearGroup([mlp.down_proj], dtype),
        )
        self._module, self._dtype, self._last = layer, dtype, last
        self._dim = int(attention.head_dim)
        self._heads, self._kv_heads = int(config.num_attention_heads), int(config.num_key_value_heads)
        self._gating = GATINGS[getattr(config, architecture.activation_key)]
        self._scale = float(attention.scaling)
        self._softcap = float(getattr(attention, "attn_logit_softcapping", None) or 0)
        in_config = None if architecture.window_key is None else getattr(config, architecture.window_key)
        self._window = int(getattr(attention, "sliding_window", in_config) or 0)
        self.checkpointed = False

    def __call__(
        self, hidden_states: Tensor, *, position_embeddings: tuple[Tensor, Tensor], pack_layout: PackLayout, **_: Any
    ) -> Tensor:
        """[1, T, C] -> [1, T, C]; the last layer returns the pooled tokens, [1, P, C]."""
        h = hidden_states[0].to(self._dtype).contiguous()
        context = PackContext(pack_layout, *(part[0].contiguous() for part in position_embeddings))
        if torch.is_grad_enabled():
            out: Tensor = _FusedLayerFunction.apply(h, self, context, *self.parameters)  # type: ignore[no-untyped-call]
        else:
            out, _saved = self.forward(h, context)
        return out[None]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The trained parameters: A and B of each adapted linear layer, in the order q, k, v, o, gate, up, down."""
        return [parameter for group in self._groups for parameter in group.parameters]

    def forward(self, h: Tensor, context: PackContext) -> tuple[Tensor, SavedActivations]:
        """Returns the output [T, C] ([P, C] in the last layer) for h [T, C], and what the backward pass needs."""
        to_qkv, to_out, to_gate_up, to_down = self._groups
        training = self._module.training
        lora_states: list[LoraState | None] = []

        def apply(group: LinearGroup, x: Activation) -> Tensor:
            output, state = group.forward(x, training=training)
            lora_states.append(state)
            return output

        before = self._before
        normed = norm(h, before.gain, before.epsilon, forms=to_qkv.input_forms)
        qkv = apply(to_qkv, normed)
        self._rotate(qkv, context)
        out, lse = forward(*self._heads_of(qkv), context.layout.forest, self._scoring(context))
        rows, residual = out.flatten(1), h
        if self._last:
            rows, residual = rows[context.layout.pooled], h[context.layout.pooled]
        attended = apply(to_out, _activation(rows, to_out))
        after, before_mlp = self._after, self._before_mlp
        middle, joined = join(
            attended, None if after is None else after.gain, residual, before_mlp.gain, before_mlp.epsilon,
            forms=to_gate_up.input_forms,
        )  # fmt: skip
        gate_up = apply(to_gate_up, joined)
        fed = apply(to_down, glu(gate_up, self._gating, forms=to_down.input_forms))
        has_post_norms = self._after is not None
        saved = SavedActivations(
            h,
            qkv,
            out,
            lse,
            attended if has_post_norms else None,
            middle,
            gate_up,
            fed if has_post_norms else None,
            lora_states,
        )
        return _add_residual(middle, fed, self._after_mlp), saved

    def backward(
        self, grad: Tensor, saved: SavedActivations, context: PackContext, *, needs_grad_h: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The gradients of h [T, C] (None if not needed) and of `parameters`, given that of the output, `grad`."""
        to_qkv, to_out, to_gate_up, to_down = self._groups
        lora_qkv, lora_out, lora_gate_up, lora_down = saved.lora_states

        # Feed-forward.
        grad_fed = _post_norm_backward(grad, saved.fed, self._after_mlp, to_down)
        fed = glu(saved.gate_up, self._gating).plain if lora_down else None
        grad_fed_in, grads_down = to_down.backward(grad_fed, fed, lora_down, needs_grad_x=True)
        del grad_fed, fed
        assert grad_fed_in is not None
        grad_gate_up = glu_backward(grad_fed_in, saved.gate_up, self._gating, forms=to_gate_up.input_forms)
        del grad_fed_in
        before_mlp, before = self._before_mlp, self._before
        x = norm(saved.middle, before_mlp.gain, before_mlp.epsilon).plain if lora_gate_up else None
        grad_x, grads_gate_up = to_gate_up.backward(grad_gate_up, x, lora_gate_up, needs_grad_x=True)
        del grad_gate_up, x
        assert grad_x is not None
        grad_middle = norm_backward(grad_x, saved.middle, before_mlp.gain, before_mlp.epsilon, residual=grad).plain

        # Attention.
        assert grad_middle is not None
        grad_attended = _post_norm_backward(grad_middle, saved.attended, self._after, to_out)
        rows = saved.out.flatten(1)
        if self._last:
            rows = rows[context.layout.pooled]
        grad_rows, grads_out = to_out.backward(grad_attended, rows, lora_out, needs_grad_x=True)
        del grad_attended
        assert grad_rows is not None
        if self._last:
            pooled = context.layout.pooled
            grad_rows = grad_rows.new_zeros(len(saved.h), grad_rows.shape[1]).index_copy_(0, pooled, grad_rows)
            grad_middle = grad_middle.new_zeros(saved.h.shape).index_copy_(0, pooled, grad_middle)
        grad_qkv = torch.empty_like(saved.qkv)
        backward(
            grad_rows.view_as(saved.out), *self._heads_of(saved.qkv), saved.out, saved.lse,
            context.layout.forest, self._scoring(context), into=self._heads_of(grad_qkv),
        )  # fmt: skip
        self._rotate(grad_qkv, context, inverse=True)
        del grad_rows
        x = norm(saved.h, before.gain, before.epsilon).plain if lora_qkv else None
        grad_x, grads_qkv = to_qkv.backward(_activation(grad_qkv, to_qkv), x, lora_qkv, needs_grad_x=needs_grad_h)
        grad_h = None
        if grad_x is not None:
            grad_h = norm_backward(grad_x, saved.h, before.gain, before.epsilon, residual=grad_middle).plain
        return grad_h, [*grads_qkv, *grads_out, *grads_gate_up, *grads_down]

    def _rotate(self, qkv: Tensor, context: PackContext, *, inverse: bool = False) -> None:
        """Apply rotary embeddings in place to q and k, the first H + K heads of qkv."""
        rope_(qkv, context.cos, context.sin, heads=self._heads + self._kv_heads, dim=self._dim, inverse=inverse)

    def _heads_of(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split [T, (H + 2 K) D] into views: q [T, H, D], k and v [T, K, D]."""
        heads = qkv.view(len(qkv), -1, self._dim)
        q, k, v = torch.split(heads, [self._heads, self._kv_heads, self._kv_heads], dim=1)
        return q, k, v

    def _scoring(self, context: PackContext) -> Scoring:
        return Scoring(self._scale, self._softcap, self._window if context.layout.longest > self._window else 0)


class PackContext(NamedTuple):
    """The layout of a pack, and the cosines and sines of the rotary embeddings of its tokens, [T, D] each."""

    layout: PackLayout
    cos: Tensor
    sin: Tensor


class _FusedLayerFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, layer: FusedLayer, context: PackContext, *parameters: Tensor) -> Tensor:
        ctx.layer, ctx.context = layer, context
        if layer.checkpointed:
            ctx.h, ctx.saved = h, None
            ctx.random = torch.get_rng_state()
            return layer.forward(h, context)[0]
        out, ctx.saved = layer.forward(h, context)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        layer: FusedLayer = ctx.layer
        saved, ctx.saved = ctx.saved, None
        if saved is None:
            with torch.random.fork_rng(devices=[]):  # dropout draws its seeds from the CPU's generator
                torch.set_rng_state(ctx.random)
                _, saved = layer.forward(ctx.h, ctx.context)
        grad_h, grads_parameters = layer.backward(
            grads[0].contiguous(), saved, ctx.context, needs_grad_h=ctx.needs_input_grad[0]
        )
        return (grad_h, None, None, *grads_parameters)


def _activation(x: Tensor, group: LinearGroup) -> Activation:
    """x in the formats that the linear layers of a group read."""
    return Activation(x if group.input_forms.plain else None, rows_to_fp8(x) if group.input_forms.fp8 else None)


def _add_residual(residual: Tensor, x: Tensor, post_norm: _Norm | None) -> Tensor:
    """residual + post_norm(x), or residual + x in architectures without post-norms; all [T, C]."""
    if post_norm is None:
        return residual + x
    out = norm(x, post_norm.gain, post_norm.epsilon, residual=residual).plain
    assert out is not None
    return out


def _post_norm_backward(grad: Tensor, x: Tensor | None, post_norm: _Norm | None, group: LinearGroup) -> Activation:
    """The gradient of x [T, C], the output of `group`, given that of post_norm(x) (or of x without a post-norm)."""
    if post_norm is None or x is None:
        return _activation(grad, group)
    return norm_backward(grad, x, post_norm.gain, post_norm.epsilon, forms=group.input_forms)
