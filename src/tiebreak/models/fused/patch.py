"""Replace the forward passes of a model's decoder layers by fused ones (`tiebreak.models.fused.layer`).

Legend of shapes: P pooled tokens (one per sequence of the pack), C hidden size.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tiebreak.models.architectures import ARCHITECTURES, GATINGS
from tiebreak.models.attention import HEAD_DIMS, supports_kernels
from tiebreak.models.layer_stack import first_trained_layer, install_layer_stack, transformer_body
from tiebreak.models.pack_layout import PackLayout

if TYPE_CHECKING:
    from tiebreak.models.fused.layer import FusedLayer


class FusedLayers:
    """A `LayerStack` of fused layers; the last of them returns the pooled tokens only."""

    checkpoints_single_layers = True

    def __init__(self, body: Any, layers: list[FusedLayer]) -> None:
        self._body = body
        self._layers = layers

    @property
    def trained_layers(self) -> int:
        """As in `LayerStack`."""
        return len(self._layers) - first_trained_layer(self._body)

    def pool(self, hidden: Tensor, layout: PackLayout) -> Tensor:
        """As in `LayerStack`: the body returns the pooled tokens, `hidden` [P, C]."""
        return hidden

    def checkpoint(self, count: int) -> None:
        """As in `LayerStack`."""
        first = first_trained_layer(self._body)
        for number, layer in enumerate(self._layers):
            layer.checkpointed = number < first + count


def use_fused_layers(model: nn.Module, dtype: torch.dtype) -> bool:
    """Replace the forward passes of a classifier's decoder layers, with or without LoRA, by fused ones.

    Args:
        model: on its device, with its adapter, if any.
        dtype: the compute type.

    Returns:
        False, with the model unchanged, where there is no fused implementation for the device, architecture or adapter.
    """
    body = transformer_body(model)
    if not supports_kernels(next(model.parameters()).device, dtype) or not _can_fuse(body):
        return False
    from tiebreak.models.fused.layer import FusedLayer

    architecture = ARCHITECTURES[body.config.model_type]
    modules = list(body.layers)
    layers = [FusedLayer(module, body.config, architecture, dtype, last=module is modules[-1]) for module in modules]
    for module, layer in zip(modules, layers, strict=True):
        module.forward = layer
    install_layer_stack(model, FusedLayers(body, layers))
    return True


def _can_fuse(body: Any) -> bool:
    config = body.config
    architecture = ARCHITECTURES.get(config.model_type)
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
    """Whether all linear layers are frozen matrices with at most one plain LoRA each, and nothing else is trained."""
    for module in layers.modules():
        if type(module).__name__ == "Linear8bitLt" or (hasattr(module, "base_layer") and not _is_plain_lora(module)):
            return False
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None and prod(state.shape) % state.blocksize:  # the kernel reads whole blocks
            return False
    trained = [name for name, parameter in layers.named_parameters() if parameter.requires_grad]
    return all(".lora_A." in name or ".lora_B." in name for name in trained)


def _is_plain_lora(module: Any) -> bool:
    """Whether exactly one adapter is active, and it adds B A x and nothing else."""
    if len(module.active_adapters) != 1 or module.merged:
        return False
    [adapter] = module.active_adapters
    variants, biases = getattr(module, "lora_variant", {}), getattr(module, "lora_bias", {})
    return adapter in module.lora_A and adapter not in variants and not biases.get(adapter, False)
