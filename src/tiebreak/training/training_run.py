"""A recipe in, a run folder out: the folder is taken, and whatever the recipe asks for is trained in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiebreak.errors import RecipeError
from tiebreak.extras import require_extra
from tiebreak.recipe import Recipe
from tiebreak.runs import RunFolder
from tiebreak.training.environment import process_index
from tiebreak.training.resume import check_same_recipe

if TYPE_CHECKING:
    from transformers import TrainerCallback

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to: its folder, and the validation metrics of the model it keeps."""

    folder: RunFolder
    metrics: dict[str, float]


def train(
    recipe: Recipe,
    *,
    resume: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
    log: Callable[[str], None] = logger.info,
    on_tokenised: Callable[[int, int], None] | None = None,
) -> TrainingResult:
    """Fine-tune a model into a judge and keep everything in the recipe's `output` folder.

    With `recipe.baseline` a classical judge is fitted instead, without torch; `callbacks` and `on_tokenised` then
    mean nothing, and to resume is to begin again.

    Args:
        recipe: every setting; `data.train` and `output` must be given.
        resume: go on from the last whole checkpoint of the run in that folder, with the same result as if it had
            never stopped. A finished run is left as it is. Where there is no run yet, one is begun, and `log` told.
        callbacks: more callbacks for the transformers Trainer underneath.
        tell: called with one sentence at a time about what goes on.
        on_tokenised: called now and then with how many texts are tokenised, and how many there are.

    Returns:
        The folder, and the metrics on the validation rows (`tiebreak.metrics.preference_metrics`). With a calibration
        they are those of calibrated probabilities, and `uncalibrated_loss` and so on those of the others.

    Raises:
        RecipeError: the recipe lacks something, or `resume` meets a run of another recipe.
        DataError: the votes cannot be used.
        ModelError: the base model cannot be had.
        RunError: the folder is taken, another process trains in it, or the disk is full.
        MemoryBudgetError: a single comparison does not fit into memory.
    """
    if recipe.data.train is None:
        raise RecipeError("There are no votes to learn from: give data.train=FILE (CSV, JSONL or Parquet).")
    if recipe.output is None:
        raise RecipeError("There is nowhere to keep the run: give output=runs/NAME.")
    folder = RunFolder(recipe.output)
    if resume and folder.holds_a_run:
        check_same_recipe(recipe, folder)
        if folder.is_finished:
            log(f"{folder} is finished already: nothing to do.")
            return TrainingResult(folder, json.loads(folder.metrics.read_text(encoding="utf-8")))
    elif resume:
        log(f"{folder} holds no run to go on with: beginning one.")
    with folder.lock(resume=resume) if process_index() == 0 else nullcontext():
        if recipe.baseline is not None:
            from tiebreak.training.fit_baseline import fit

            return TrainingResult(folder, fit(recipe, folder, log=log))
        require_extra("train", "training a language model")
        from tiebreak.training.finetune import fine_tune

        metrics = fine_tune(
            recipe, folder, resume=resume, callbacks=callbacks, log=log, on_tokenised=on_tokenised
        )  # fmt: skip
        return TrainingResult(folder, metrics)
