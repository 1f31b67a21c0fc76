"""How a classifier's decoder layers run over a pack: the interface between forward passes and the layers behind it.

There are two implementations: `TransformersLayers` here, and `tiebreak.models.fused.patch.FusedLayers`, which installs
itself on the model. Callers ask `layer_stack(model)` and do not know which one they get.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from torch import Tensor, nn

from tiebreak.models.heads import classifier_module
from tiebreak.models.pack_layout import PackLayout
from tiebreak.models.text_classifier import decoder_layers

_INSTALLED: Final = "_tiebreak_layer_stack"
"""The attribute of the transformer body that holds an implementation installed on it."""


class LayerStack(Protocol):
    """The decoder layers of one classifier."""

    checkpoints_single_layers: bool
    """Whether `checkpoint` can checkpoint some layers only; otherwise any count above 0 checkpoints all of them."""

    @property
    def trained_layers(self) -> int:
        """Layers that the backward pass goes through: from the first trained one to the last."""

    def pool(self, hidden: Tensor, layout: PackLayout) -> Tensor:
        """The hidden states [sequences, C] of each sequence's last token, from what the transformer body returns."""

    def checkpoint(self, count: int) -> None:
        """Store only the inputs of the first `count` trained layers for the backward pass, and recompute the rest.

        Layers below the first trained one are not counted: nothing is stored of them in any case.
        """


class TransformersLayers:
    """Hugging Face's own layers."""

    checkpoints_single_layers = False

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    @property
    def trained_layers(self) -> int:
        """As in `LayerStack`."""
        body = transformer_body(self._model)
        return len(decoder_layers(body)) - first_trained_layer(body)

    def pool(self, hidden: Tensor, layout: PackLayout) -> Tensor:
        """As in `LayerStack`: the body returns [T, C]."""
        return hidden[layout.pooled]

    def checkpoint(self, count: int) -> None:
        """As in `LayerStack`."""
        body = transformer_body(self._model)
        # transformers has a new name for it and is about to drop the old one.
        has_new_name = hasattr(body, "activation_checkpointing_enable")
        name = "activation_checkpointing" if has_new_name else "gradient_checkpointing"
        switch = cast(Callable[..., None], getattr(body, f"{name}_{'enable' if count else 'disable'}"))
        switch(*([{"use_reentrant": False}] if count else []))
        # transformers makes the embeddings' output require a gradient, and with it every layer. Checkpoints that are
        # not re-entrant do not need that.
        body.disable_input_require_grads()


def layer_stack(model: nn.Module) -> LayerStack:
    """The implementation that runs this classifier's decoder layers."""
    installed: LayerStack | None = getattr(transformer_body(model), _INSTALLED, None)
    return TransformersLayers(model) if installed is None else installed


def install_layer_stack(model: nn.Module, stack: LayerStack) -> None:
    """Make `layer_stack` return this implementation for the model."""
    setattr(transformer_body(model), _INSTALLED, stack)


def transformer_body(model: nn.Module) -> Any:
    """The transformer below the classification head."""
    classifier = classifier_module(model)
    return getattr(classifier, classifier.base_model_prefix)


def first_trained_layer(body: Any) -> int:
    """Index of the first decoder layer that is trained, or that comes after trained embeddings."""
    if any(parameter.requires_grad for parameter in body.get_input_embeddings().parameters()):
        return 0
    layers = decoder_layers(body)
    trained = (any(parameter.requires_grad for parameter in layer.parameters()) for layer in layers)
    return next((number for number, is_trained in enumerate(trained) if is_trained), len(layers) - 1)
