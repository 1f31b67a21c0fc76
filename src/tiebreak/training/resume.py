"""Resume a run from a checkpoint, with the recipe and the votes that it was started with."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tiebreak.errors import RecipeError, RunError
from tiebreak.prompt_folding import FOLDS
from tiebreak.recipe import Recipe, load_recipe
from tiebreak.runs import RunFolder
from tiebreak.training.distributed import is_rank_zero

if TYPE_CHECKING:
    from tiebreak.training.trainer import JudgeTrainer

_MAY_CHANGE: Final = {
    ("training", "tokens_per_pass"),
    ("training", "gradient_checkpointing"),
    ("training", "report_to"),
}
"""Keys that do not affect what is learned."""


def check_same_recipe(recipe: Recipe, folder: RunFolder) -> None:
    """Check that a run is resumed with the recipe that it was started with.

    Raises:
        RecipeError: a key that affects the result differs.
    """
    started = load_recipe(folder.recipe).model_dump(mode="json")
    requested = recipe.model_dump(mode="json")
    if (started["baseline"] is None) != (recipe.baseline is None):
        kinds = ("a language model", "a baseline")
        was, now = (kinds[settings["baseline"] is not None] for settings in (started, requested))
        raise RecipeError(f"{folder} was started as {was}, not as {now}. Start a new run with output=runs/NAME.")
    changed = [
        f"{section}.{key} was {started[section][key]!r}, now {value!r}"
        for section, values in requested.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if value != started[section][key] and (section, key) not in _MAY_CHANGE
    ]
    if changed:
        raise RecipeError(
            f"{folder} was started with another recipe: {'; '.join(changed)}. Resume with the same one "
            f"(tiebreak train {folder.recipe} --resume), or start a new run with output=runs/NAME."
        )


def start_date(folder: RunFolder) -> date | None:
    """The day on which a run was started, which a chat template may write; None if its folder does not say."""
    if not folder.environment.exists():
        return None
    day = json.loads(folder.environment.read_text(encoding="utf-8")).get("start_date")
    return None if day is None else date.fromisoformat(day)


def recorded_fold(folder: RunFolder) -> int:
    """The number in `FOLDS` by which a run's votes were split.

    Raises:
        RunError: a newer version of Tiebreak split them.
    """
    environment = json.loads(folder.environment.read_text(encoding="utf-8")) if folder.environment.exists() else {}
    fold = environment.get("prompt_fold", 1)
    if fold not in FOLDS:
        raise RunError(
            f"{folder} was split by a newer version of Tiebreak (prompt_fold {fold!r}). Install that version."
        )
    return int(fold)


def check_same_data(folder: RunFolder, digest: str) -> None:
    """Check that a run is resumed with the votes that it was started with: the order of the rows depends on them.

    Raises:
        RecipeError: the votes differ.
    """
    if not folder.environment.exists():
        return
    started = json.loads(folder.environment.read_text(encoding="utf-8")).get("data_digest", digest)
    if started != digest:
        raise RecipeError(
            f"The votes are not those {folder} was started with (their digest was {started}, now {digest}). Restore "
            "the files, or start a new run with output=runs/NAME."
        )


def resume_training(trainer: JudgeTrainer, checkpoint: Path, log: Callable[[str], None]) -> None:
    """Continue training from a checkpoint; if training had ended there, only load the model to keep."""
    from tiebreak.training.trainer_overrides import (
        correct_best_checkpoint,
        load_weights,
        read_state,
        training_has_ended,
    )

    state = read_state(checkpoint)
    best = checkpoint.with_name(f"checkpoint-{state['best_global_step']}")
    if best.is_dir() and is_rank_zero():
        correct_best_checkpoint(checkpoint, best)
    log(f"Resuming at step {state['global_step']:,} of {state['max_steps']:,}.")
    if training_has_ended(state):
        load_weights(trainer, best if best.is_dir() and trainer.args.load_best_model_at_end else checkpoint)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint))
