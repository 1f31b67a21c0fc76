"""The model that a run trains: a base model with a new adapter and head, or with those of an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from tiebreak.errors import MemoryBudgetError, ModelError, RecipeError
from tiebreak.library_logging import quiet_model_loading
from tiebreak.models import (
    add_adapter,
    default_device,
    emulation_note,
    exported_card,
    head_note,
    load_base,
    load_trainable_adapter,
    lora_config,
    read_adapter_card,
    reset_head,
    resolve_compute_dtype,
    use_fused_layers,
)
from tiebreak.ranking import tie_parameter_of
from tiebreak.recipe import LoraSection, ModelSection, Recipe
from tiebreak.runs import RunFolder
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from peft import PeftModel


def prepare_model(
    recipe: Recipe, training: Sequence[Comparison], compute_dtype: torch.dtype, log: Callable[[str], None]
) -> PeftModel:
    """The model of a recipe, on the default device, with fused layers where they apply.

    Raises:
        MemoryBudgetError: the base model does not fit into memory.
        ModelError: the base model, or the earlier run's adapter, cannot be loaded.
        RecipeError: `lora.layers_to_transform` exceeds the model.
    """
    with quiet_model_loading():
        model = _adapted_model(recipe, _initial_tie_parameter(training), log)
    use_fused_layers(model, compute_dtype)
    return model


def _adapted_model(recipe: Recipe, tie_parameter: float, log: Callable[[str], None]) -> PeftModel:
    """The base model with a new adapter, or with the adapter of `model.start_from`."""
    settings, seed = recipe.model, recipe.training.seed
    start = None if settings.start_from is None else RunFolder(settings.start_from)
    if start is not None:
        _check_start(start, settings)
    if "name" not in settings.model_fields_set:
        log("The recipe names no model, so the built-in nano is used. Choose another with model.name=NAME.")
    if not settings.reset_head:
        tie_parameter = _exported_tie_parameter(settings, tie_parameter)
    base = _load_base(settings, tie_parameter, seed, log)
    _check_layer_indices(recipe.lora, base.text_config.num_hidden_layers)
    config = lora_config(**recipe.lora.model_dump())
    if start is None:
        note = head_note(settings.name, settings.revision, settings.head, reset=settings.reset_head)
        if note is not None:
            log(note)
        if settings.reset_head:
            reset_head(base, seed, tie_parameter)
        return add_adapter(base, config)
    model = load_trainable_adapter(base, start.model, config)
    if settings.reset_head:
        reset_head(model, seed, tie_parameter)
    log(f"Starting from {start}{' with a new head' if settings.reset_head else ''}.")
    return model


def _exported_tie_parameter(settings: ModelSection, default: float) -> float:
    """The tie parameter of an exported reward model, which its weights do not hold; the default for any other base."""
    card = None if settings.head == "pairwise" else exported_card(settings.name, settings.revision)
    if card is None or card.rewards is None or card.rewards.tie_model != settings.tie_model:
        return default
    return card.rewards.tie_parameter


def _check_start(start: RunFolder, settings: ModelSection) -> None:
    start.check_trained()
    card = read_adapter_card(start.model)
    if card.base_model != settings.name:
        raise ModelError(f"{start} was trained on {card.base_model}, not on {settings.name}: set model.name to that.")
    if card.head != settings.head:
        raise ModelError(f"{start} has a {card.head} head, not a {settings.head} one: set model.head={card.head}.")
    if card.rewards is not None and card.rewards.tie_model != settings.tie_model:
        trained = card.rewards.tie_model
        raise ModelError(
            f"{start} was trained with {trained}, not with {settings.tie_model}: set model.tie_model={trained}."
        )


def _load_base(settings: ModelSection, tie_parameter: float, seed: int, log: Callable[[str], None]) -> Any:
    device = default_device()
    log(f"Loading {settings.name} in {settings.precision}.")
    dtype = resolve_compute_dtype(settings.compute_dtype, settings.precision, device)
    emulated = emulation_note(settings.precision, dtype, device)
    if emulated is not None:
        log(emulated)
    try:
        return load_base(
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
            f"{settings.name} in {settings.precision} does not fit into the memory of {device}. Set "
            "model.precision=nf4, use a smaller model or a GPU with more memory, or stop other processes on the GPU."
        ) from error


def _initial_tie_parameter(training: Sequence[Comparison]) -> float:
    """The value at which equal answers tie as often as these votes do, after adding one vote that is half a tie."""
    ties = sum(comparison.weight * comparison.required_vote()[2] for comparison in training)
    return tie_parameter_of((ties + 0.5) / (sum(comparison.weight for comparison in training) + 1))


def _check_layer_indices(settings: LoraSection, layers: int) -> None:
    """Check `lora.layers_to_transform`: PEFT ignores layers that do not exist."""
    absent = [layer for layer in settings.layers_to_transform or () if layer >= layers]
    if absent:
        raise RecipeError(
            f"lora.layers_to_transform names {', '.join(map(str, absent))}: the model's layers are 0 to {layers - 1}."
        )
