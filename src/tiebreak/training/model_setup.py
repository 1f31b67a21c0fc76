"""The model that is trained: a base, and an adapter and a head that are fresh or an earlier run's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from tiebreak.errors import MemoryBudgetError, ModelError, RecipeError
from tiebreak.models import add_adapter, load_base, load_trainable_adapter, lora_config, read_card, reset_head
from tiebreak.recipe import LoraSection, ModelSection
from tiebreak.runs import RunFolder

if TYPE_CHECKING:
    from peft import PeftModel


def build_model(
    settings: ModelSection,
    lora: LoraSection,
    *,
    tie_parameter: float,
    seed: int,
    device: torch.device,
    log: Callable[[str], None],
) -> PeftModel:
    """The base model with a fresh adapter, or with an earlier run's.

    Args:
        settings: the recipe's `model` section.
        lora: its `lora` section.
        tie_parameter: where that of a fresh pointwise head begins.
        seed: decides the fresh weights.
        device: where the model goes.
        tell: called with a sentence about what is loaded.
    """
    start = None if settings.start_from is None else RunFolder(settings.start_from)
    if start is not None:
        start.check_trained()
        card = read_card(start.model)
        if card.base_model != settings.name:
            raise ModelError(
                f"{start} was trained on {card.base_model}, not on {settings.name}: set model.name to that."
            )
        if card.head != settings.head:
            raise ModelError(
                f"{start} has a {card.head} head, the recipe asks for another: set model.head={card.head}."
            )
        if card.rewards is not None and card.rewards.tie_model != settings.tie_model:
            was = card.rewards.tie_model
            raise ModelError(f"{start} learned with {was}, not {settings.tie_model}: set model.tie_model={was}.")
    if "name" not in settings.model_fields_set:
        log("The recipe names no model, so the built-in nano is taken. Name another with model.name=NAME.")
    log(f"Loading {settings.name} in {settings.precision}.")
    try:
        base = load_base(
            settings.name,
            revision=settings.revision,
            precision=settings.precision,
            compute_dtype=settings.compute_dtype,
            device=device,
            seed=seed,
            head=settings.head,
            tie_model=settings.tie_model,
            tie_parameter=tie_parameter,
        )
    except torch.OutOfMemoryError as error:
        raise MemoryBudgetError(
            f"{settings.name} in {settings.precision} does not fit into the memory of {device}. Take "
            "model.precision=nf4, a smaller model, or a GPU with more memory; see that no other process uses it."
        ) from error
    _check_layer_indices(lora, base.config.num_hidden_layers)
    config = lora_config(**lora.model_dump())
    if start is None:
        if settings.reset_head:
            reset_head(base, seed, tie_parameter)
        return add_adapter(base, config)
    model = load_trainable_adapter(base, start.model, config)
    if settings.reset_head:
        reset_head(model, seed, tie_parameter)
    log(f"Going on from {start}{' with a fresh head' if settings.reset_head else ''}.")
    return model


def _check_layer_indices(settings: LoraSection, layers: int) -> None:
    """PEFT leaves such layers out in silence, or finds nothing to adapt."""
    absent = [layer for layer in settings.layers_to_transform or () if layer >= layers]
    if absent:
        raise RecipeError(
            f"lora.layers_to_transform names {', '.join(map(str, absent))}: the model's layers are 0 to {layers - 1}."
        )


def check_context_length(model: PeftModel, max_length: int) -> None:
    """Positions beyond those a model was made for say nothing it has learned."""
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and max_length > context:
        raise RecipeError(
            f"text.max_length is {max_length:,} tokens, the model was made for {context:,}: "
            f"set text.max_length={context} or less."
        )
