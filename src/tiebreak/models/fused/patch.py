"""Which models' decoder layers are computed by hand (`tiebreak.models.fused.layer`), and switching them over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal, cast

import torch
from torch import nn

from tiebreak.models.attention import HEAD_DIMS, supports_kernels
from tiebreak.models.heads import classifier_module

Gating = Literal["gelu_tanh", "silu"]

GATINGS: Final[dict[str, Gating]] = {"gelu_pytorch_tanh": "gelu_tanh", "silu": "silu"}
"""The feed-forward's activation, by its name in a configuration."""


@dataclass(frozen=True)
class Architecture:
    """What tells one model's decoder layer from another's."""

    post_norms: bool
    """Whether what comes out of attention and feed-forward is normed before it joins the residual stream."""
    gain_offset: float
    """What is added to a norm's weight: Gemma's weights are the gain less one."""
    activation_key: str = "hidden_act"
    """The configuration's name for the feed-forward's activation; others may be left over, and mean nothing."""
    window_key: str | None = None
    """The configuration's name for a sliding window where the attention modules do not tell theirs."""


_ARCHITECTURES: Final = {
    "gemma": Architecture(post_norms=False, gain_offset=1.0),
    "gemma2": Architecture(post_norms=True, gain_offset=1.0, activation_key="hidden_activation"),
    "llama": Architecture(post_norms=False, gain_offset=0.0),
    "mistral": Architecture(post_norms=False, gain_offset=0.0, window_key="sliding_window"),
    "qwen2": Architecture(post_norms=False, gain_offset=0.0),
}
"""By transformers' model type."""


def use_fused_layers(model: nn.Module, dtype: torch.dtype) -> bool:
    """Switch a classifier's decoder layers, with or without LoRA in them, over to hand-made passes.

    Args:
        model: where it is to run; its adapter, if any, in place.
        dtype: the compute type.

    Returns:
        False, with the model left as it is, where device, architecture or adapter is not one they are made for.
    """
    body = _body(model)
    if not supports_kernels(next(model.parameters()).device, dtype) or not _can_fuse(body):
        return False
    from tiebreak.models.fused.layer import FusedLayer

    layers = list(body.layers)
    for layer in layers:
        layer.forward = FusedLayer(
            layer, body.config, _ARCHITECTURES[body.config.model_type], dtype, last=layer is layers[-1]
        )
    body.fused = True
    return True


def has_fused_layers(model: nn.Module) -> bool:
    """Whether `use_fused_layers` was done: then the body gives back the pooled tokens alone."""
    return bool(getattr(_body(model), "fused", False))


def layer_count(model: nn.Module) -> int:
    """Decoder layers that the backward pass goes through: those from the first trained one on."""
    return len(_body(model).layers) - _first_trained(_body(model))


def checkpoint_layers(model: nn.Module, count: int) -> None:
    """Keep of so many layers their input alone for the backward pass; what it needs of the others is kept.

    Layers below the first trained one are not counted: nothing is kept of them. A model that is not fused knows all or
    none: all are checkpointed if any is.
    """
    body = _body(model)
    if has_fused_layers(model):
        first = _first_trained(body)
        for number, layer in enumerate(body.layers):
            layer.forward.checkpointed = number < first + count
        return
    # transformers has a new name for it, and will drop the old one.
    name = "activation_checkpointing" if hasattr(model, "activation_checkpointing_enable") else "gradient_checkpointing"
    switch = cast(Callable[..., None], getattr(model, f"{name}_{'enable' if count else 'disable'}"))
    switch(*([{"use_reentrant": False}] if count else []))
    # transformers makes the embeddings' output need a gradient, and with it every layer; a checkpoint that is not
    # re-entrant has no use for that.
    body.disable_input_require_grads()
    classifier_module(model).disable_input_require_grads()


def _body(model: nn.Module) -> Any:
    classifier = classifier_module(model)
    return getattr(classifier, classifier.base_model_prefix)


def _first_trained(body: Any) -> int:
    """Number of the first decoder layer that is trained, or that stands above trained embeddings."""
    if any(parameter.requires_grad for parameter in body.get_input_embeddings().parameters()):
        return 0
    trained = (any(parameter.requires_grad for parameter in layer.parameters()) for layer in body.layers)
    return next((number for number, is_trained in enumerate(trained) if is_trained), len(body.layers) - 1)


def _can_fuse(body: Any) -> bool:
    config = body.config
    architecture = _ARCHITECTURES.get(config.model_type)
    if architecture is None or config.attention_dropout:
        return False
    if getattr(config, architecture.activation_key) not in GATINGS:
        return False
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None)) not in (None, 1):
        return False
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return dim in HEAD_DIMS and _is_plain(body.layers)


def _is_plain(layers: nn.ModuleList) -> bool:
    """Frozen linear layers that can be read as matrices, with at most one plain LoRA each, and nothing else trained."""
    for module in layers.modules():
        if type(module).__name__ == "Linear8bitLt" or (hasattr(module, "base_layer") and not _is_plain_lora(module)):
            return False
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None and prod(state.shape) % state.blocksize:  # the kernel takes whole blocks
            return False
    trained = [name for name, parameter in layers.named_parameters() if parameter.requires_grad]
    return all(".lora_A." in name or ".lora_B." in name for name in trained)


def _is_plain_lora(module: Any) -> bool:
    """One active adapter that adds B A x and nothing else."""
    if len(module.active_adapters) != 1 or module.merged:
        return False
    [adapter] = module.active_adapters
    variants, biases = getattr(module, "lora_variant", {}), getattr(module, "lora_bias", {})
    return adapter in module.lora_A and adapter not in variants and not biases.get(adapter, False)
