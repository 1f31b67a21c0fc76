"""Which models' decoder layers are computed by hand (`tiebreak.model.fused`), and switching them over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import nn

from tiebreak.model.attention import HEAD_DIMS, supports_kernels

Gating = Literal["gelu_tanh", "silu"]

_GATINGS: Final[dict[str, Gating]] = {"gelu_pytorch_tanh": "gelu_tanh", "silu": "silu"}
"""The feed-forward's activation, by its name in a configuration."""

_TWO_NORMS: Final = ("input_layernorm", None, "post_attention_layernorm", None)
_FOUR_NORMS: Final = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)


@dataclass(frozen=True)
class Architecture:
    """What tells one model's decoder layer from another's."""

    norms: tuple[str | None, ...]
    """Names of the norms before attention, after it, before the feed-forward and after it."""
    gain_offset: float
    """What is added to a norm's weight: Gemma's weights are the gain less one."""
    gating: Gating


_NORMS: Final[dict[str, tuple[tuple[str | None, ...], float]]] = {
    "gemma": (_TWO_NORMS, 1.0),
    "gemma2": (_FOUR_NORMS, 1.0),
    "llama": (_TWO_NORMS, 0.0),
    "mistral": (_TWO_NORMS, 0.0),
    "qwen2": (_TWO_NORMS, 0.0),
}
"""By transformers' model type."""


def fuse(model: nn.Module, dtype: torch.dtype) -> bool:
    """Switch a classifier's decoder layers, with or without LoRA in them, over to hand-made passes.

    Args:
        model: where it is to run; its adapter, if any, in place.
        dtype: the compute type.

    Returns:
        False, with the model left as it is, where device, architecture or adapter is not one they are made for.
    """
    body = _body(model)
    architecture = _architecture(body.config)
    if architecture is None or not supports_kernels(next(model.parameters()).device) or not _is_plain(body.layers):
        return False
    from tiebreak.model.fused import FusedLayer

    layers = list(body.layers)
    for layer in layers:
        layer.forward = FusedLayer(layer, body.config, architecture, dtype, last=layer is layers[-1])
    body.fused = True
    return True


def is_fused(model: nn.Module) -> bool:
    """Whether `fuse` was done: then the body gives back the pooled tokens alone."""
    return getattr(_body(model), "fused", False)


def checkpoint_layers(model: nn.Module, wanted: bool) -> None:
    """Keep of each layer its input alone for the backward pass, or, where not wanted, what saves computing it anew."""
    if is_fused(model):
        for layer in _body(model).layers:
            layer.forward.checkpointed = wanted
    elif wanted:
        model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]


def _body(model: nn.Module) -> Any:
    classifier: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(classifier, classifier.base_model_prefix)


def _architecture(config: Any) -> Architecture | None:
    known = _NORMS.get(config.model_type)
    gating = _GATINGS.get(getattr(config, "hidden_activation", None) or getattr(config, "hidden_act", ""))
    heads = getattr(config, "num_attention_heads", 1)
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    if known is None or gating is None or dim not in HEAD_DIMS or getattr(config, "attention_dropout", 0.0):
        return None
    return Architecture(*known, gating)


def _is_plain(layers: nn.ModuleList) -> bool:
    """Frozen linear layers that can be read as matrices, with at most one plain LoRA each, and nothing else trained."""
    for module in layers.modules():
        if type(module).__name__ == "Linear8bitLt" or (hasattr(module, "base_layer") and not _is_plain_lora(module)):
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
