"""Fitting a classical judge: the one place where the recipe is taken apart for it. No torch."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from tiebreak.baselines import fit_baseline, save_baseline
from tiebreak.calibration import fit_calibration
from tiebreak.errors import RunError
from tiebreak.formatting import pluralize
from tiebreak.metrics import preference_metrics
from tiebreak.recipe import Recipe, dump_recipe
from tiebreak.runs import RunFolder, write_json, write_predictions
from tiebreak.training.environment import describe_machine, process_count
from tiebreak.training.splits import calibration_source, split_votes, warn_about_shared_prompts
from tiebreak.types import Vote


def fit(recipe: Recipe, folder: RunFolder, *, log: Callable[[str], None]) -> dict[str, float]:
    """Fit the recipe's classical judge, in a folder that no other process trains in; returns the metrics.

    It takes a minute or two at most, so there are no checkpoints: a run that was stopped begins again.

    Raises:
        DataError: the votes cannot be used.
        RunError: several processes were started for it, or the folder cannot be written.
    """
    assert recipe.baseline is not None
    if process_count() > 1:
        raise RunError("A classical judge is fitted by one process: start it without torchrun and --gpus.")
    settings = recipe.baseline.model_dump()
    kind = settings.pop("kind")
    votes = split_votes(recipe.data, log)
    log(f"Training rows: {len(votes.training):,}. Validation rows: {len(votes.validation):,}.")
    if votes.calibration:
        log(f"Calibration rows: {len(votes.calibration):,}.")
    warn_about_shared_prompts(votes, log)

    began = perf_counter()
    judge = fit_baseline(kind, votes.training, c=settings.pop("C"), log=log, **settings)
    log(f"Fitted {kind} on {pluralize(len(votes.training), 'comparison')} in {perf_counter() - began:.1f} s.")
    held_out = [_vote(row.vote) for row in votes.validation]
    probabilities = judge.probabilities(votes.validation)
    metrics = preference_metrics(probabilities, held_out)
    calibration = None
    if votes.calibration:
        rows = judge.probabilities(votes.calibration)[:, None, :]  # the same in both orders
        calibration = fit_calibration(
            rows, [_vote(row.vote) for row in votes.calibration], [row.folded_prompt for row in votes.calibration],
            source=calibration_source(recipe.data),
        )  # fmt: skip
        log(str(calibration))
        uncalibrated = {f"uncalibrated_{name}": value for name, value in metrics.items()}
        probabilities = calibration.apply(probabilities)
        metrics = preference_metrics(probabilities, held_out) | uncalibrated

    folder.begin(dump_recipe(recipe))  # not before: a mistake in the data leaves no folder behind
    write_json(folder.environment, describe_machine(recipe.baseline.seed))
    save_baseline(folder.model, judge, recipe.baseline.model_dump(), calibration)
    write_predictions(folder.predictions, votes.validation, probabilities)
    write_json(folder.metrics, metrics)
    return metrics


def _vote(vote: Vote | None) -> Vote:
    assert vote is not None  # `split_votes` reads rows with votes only
    return vote
