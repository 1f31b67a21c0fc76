"""Fit a baseline: a judge without a language model, and without torch."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from tiebreak.baselines import fit_baseline, save_baseline
from tiebreak.errors import RunError
from tiebreak.formatting import pluralize
from tiebreak.prompt_folding import CURRENT_FOLD
from tiebreak.recipe import Recipe, dump_recipe
from tiebreak.runs import RunFolder, write_json, write_predictions
from tiebreak.training.distributed import world_size
from tiebreak.training.environment import describe_machine
from tiebreak.training.splits import split_votes, warn_about_shared_prompts
from tiebreak.training.validation import calibrate, keep_rows, validate
from tiebreak.training.vote_sources import SourceRows, files_record


def fit(recipe: Recipe, folder: RunFolder, *, log: Callable[[str], None], fold: int = CURRENT_FOLD) -> dict[str, float]:
    """Fit the recipe's baseline in a folder that this process has locked; returns the metrics.

    Fitting takes two minutes at most, so there are no checkpoints: an interrupted run starts over. `fold` splits the
    votes as in `split_votes`.

    Raises:
        DataError: the votes cannot be used.
        RunError: there are several processes, or the folder cannot be written.
    """
    assert recipe.baseline is not None
    if world_size() > 1:
        raise RunError("A baseline is fitted by one process: start it without torchrun and --gpus.")
    settings = recipe.baseline.model_dump()
    kind = settings.pop("kind")
    files: list[SourceRows] = []
    votes = split_votes(recipe.data, log, fold, files.extend)
    log(f"Training rows: {len(votes.training):,}. Validation rows: {len(votes.validation):,}.")
    if votes.calibration:
        log(f"Calibration rows: {len(votes.calibration):,}.")
    warn_about_shared_prompts(votes, log)

    started = perf_counter()
    judge = fit_baseline(kind, votes.training, c=settings.pop("C"), log=log, **settings)
    log(f"Fitted {kind} on {pluralize(len(votes.training), 'comparison')} in {perf_counter() - started:.1f} s.")
    calibration = None
    if votes.calibration:
        one_order = judge.probabilities(votes.calibration)[:, None, :]  # baselines do not depend on the order
        calibration = calibrate(one_order, votes.calibration, recipe.data, log)
    probabilities, metrics = validate(judge.probabilities(votes.validation), votes.validation, calibration)

    folder.begin(dump_recipe(recipe))  # last, so that an error in the data leaves no folder
    environment = describe_machine(recipe.baseline.seed) | {"prompt_fold": fold} | files_record(files)
    write_json(folder.environment, environment)
    keep_rows(folder, votes, recipe.data)
    save_baseline(folder.model, judge, recipe.baseline.model_dump(), calibration)
    write_predictions(folder.predictions, votes.validation, probabilities)
    write_json(folder.metrics, metrics)
    return metrics
