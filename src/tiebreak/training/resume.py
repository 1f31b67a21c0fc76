"""Taking up a run again: with the recipe and the votes it was begun with, from a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tiebreak.errors import RecipeError
from tiebreak.recipe import Recipe, load_recipe
from tiebreak.runs import RunFolder, write_json
from tiebreak.training.environment import process_index

if TYPE_CHECKING:
    from tiebreak.training.trainer import JudgeTrainer


def check_same_recipe(recipe: Recipe, folder: RunFolder) -> None:
    """A run is resumed only with the recipe it was begun with: anything else would be neither of the two."""
    begun = load_recipe(folder.recipe).model_dump(mode="json")
    asked = recipe.model_dump(mode="json")
    if (begun["baseline"] is None) != (recipe.baseline is None):
        kinds = ("a language model", "a classical judge (baseline)")
        was, now = (kinds[of["baseline"] is not None] for of in (begun, asked))
        raise RecipeError(f"{folder} was begun as {was}, not as {now}. Start a new run with output=runs/NAME.")
    changed = [
        f"{section}.{key} was {begun[section][key]!r}, now {value!r}"
        for section, values in asked.items()
        if isinstance(values, dict)
        for key, value in values.items()
        # How much goes through at once and who is told are no part of what is learned.
        if value != begun[section][key]
        and (section, key)
        not in {("training", free) for free in ("tokens_per_pass", "gradient_checkpointing", "report_to")}
    ]
    if changed:
        raise RecipeError(
            f"{folder} was begun with another recipe: {'; '.join(changed)}. Resume with the same one "
            f"(tiebreak train {folder.recipe} --resume), or start a new run with output=runs/NAME."
        )


def check_same_data(folder: RunFolder, digest: str) -> None:
    """The order of the rows is drawn anew when a run is resumed: with other rows it would be another order."""
    if not folder.environment.exists():
        return
    begun = json.loads(folder.environment.read_text(encoding="utf-8")).get("data_digest", digest)
    if begun != digest:
        raise RecipeError(
            f"The votes are not those {folder} was begun with (their digest was {begun}, now {digest}). Put the files "
            "back as they were, or start a new run with output=runs/NAME."
        )


def resume_training(trainer: JudgeTrainer, checkpoint: Path, log: Callable[[str], None]) -> None:
    """Train from a checkpoint on; one at which training had ended only has its best model loaded."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    best = checkpoint.with_name(f"checkpoint-{state['best_global_step']}")
    if best.is_dir() and process_index() == 0:
        # The Trainer noted a path, which is another one now if the run's folder was moved or named from elsewhere.
        write_json(checkpoint / "trainer_state.json", state | {"best_model_checkpoint": str(best)})
    control = state["stateful_callbacks"].get("TrainerControl", {}).get("args", {})
    log(f"Going on from step {state['global_step']:,} of {state['max_steps']:,}.")
    if state["global_step"] < state["max_steps"] and not control.get("should_training_stop"):
        trainer.train(resume_from_checkpoint=str(checkpoint))
    else:  # the last step, or early stopping, was reached before
        trainer.restore(best if best.is_dir() and trainer.args.load_best_model_at_end else checkpoint)
