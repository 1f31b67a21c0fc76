"""Train what a recipe describes and keep it in a run folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiebreak._deprecation import renamed_argument
from tiebreak.errors import RecipeError
from tiebreak.extras import require_extra
from tiebreak.recipe import Recipe, unused_settings
from tiebreak.runs import RunFolder
from tiebreak.training.distributed import is_rank_zero
from tiebreak.training.resume import check_same_recipe

if TYPE_CHECKING:
    from transformers import TrainerCallback

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A finished run: its folder, and the validation metrics of its model."""

    folder: RunFolder
    metrics: dict[str, float]


@renamed_argument("tell", "log")
def train(
    recipe: Recipe,
    *,
    resume: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
    log: Callable[[str], None] = logger.info,
    on_tokenised: Callable[[int, int], None] | None = None,
) -> TrainingResult:
    """Fine-tune a model into a judge, or fit a baseline, and keep everything in the recipe's `output` folder.

    With `recipe.baseline` a baseline is fitted, without torch. It ignores `callbacks` and `on_tokenised`, and `resume`
    fits it again.

    Args:
        recipe: every setting; `data.train` and `output` are required.
        resume: continue from the last complete checkpoint of the run in that folder. The result equals that of an
            uninterrupted run. A finished run stays as it is. Without a run in the folder a new one is started.
        callbacks: further callbacks for the transformers Trainer.
        log: called with one sentence at a time about the progress. (`tell` is the former name of this argument.)
        on_tokenised: called now and then with the number of texts that are tokenised and the number of all texts.

    Returns:
        The folder, and the metrics on the validation rows (`tiebreak.metrics.preference_metrics`). With a calibration
        they are those of calibrated probabilities, and `uncalibrated_loss` etc. are those before calibration.

    Raises:
        RecipeError: the recipe lacks something, or `resume` finds a run of another recipe.
        DataError: the votes cannot be used.
        ModelError: the base model cannot be loaded.
        RunError: the folder is in use, another process trains in it, or the disk is full.
        MemoryBudgetError: a single comparison does not fit into memory.
    """
    if recipe.data.train is None:
        raise RecipeError("The recipe names no votes: add data.train=FILE (CSV, JSONL or Parquet).")
    if recipe.output is None:
        raise RecipeError("The recipe names no output folder: add output=runs/NAME.")
    folder = RunFolder(recipe.output)
    if resume and folder.holds_a_run:
        check_same_recipe(recipe, folder)
        if folder.is_finished:
            log(f"{folder} is finished already: nothing to do.")
            return TrainingResult(folder, json.loads(folder.metrics.read_text(encoding="utf-8")))
    elif resume:
        log(f"{folder} holds no run to resume. Starting a new one.")
    for note in unused_settings(recipe):
        log(note)
    with folder.lock(resume=resume) if is_rank_zero() else nullcontext():
        if recipe.baseline is not None:
            from tiebreak.training.fit_baseline import fit

            return TrainingResult(folder, fit(recipe, folder, log=log))
        require_extra("train", "training a language model")
        from tiebreak.training.finetune import fine_tune

        metrics = fine_tune(recipe, folder, resume=resume, callbacks=callbacks, log=log, on_tokenised=on_tokenised)
        return TrainingResult(folder, metrics)
