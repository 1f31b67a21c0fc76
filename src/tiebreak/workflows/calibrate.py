"""Fitting a calibration for a finished run, and removing it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.baselines import read_baseline_card, write_baseline_card
from tiebreak.calibration import Calibration, check_calibration_votes, fit_calibration
from tiebreak.errors import DataError, RunError
from tiebreak.formatting import pluralize
from tiebreak.judges import Judge, load_judge, probability_array
from tiebreak.judges.ensemble import read_blend, write_blend
from tiebreak.progress import cumulative_progress
from tiebreak.runs import RunFolder
from tiebreak.types import Comparison, Vote
from tiebreak.weights import row_weights
from tiebreak.workflows.vote_overlap import warn_about_overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


def calibrate_run(
    run: str | Path,
    votes: Sequence[Comparison],
    *,
    source: str = "votes",
    base_model: str | None = None,
    device: str | None = None,
    log: Callable[[str], None] = logger.info,
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit a calibration for a finished run and write it to the run's card, where it replaces an earlier one.

    Judges apply it from then on. The run's `metrics.json` and `predictions.parquet` do not change. For a blend the
    mean is calibrated; its members keep the calibrations that they had when the weights were fitted.

    Args:
        run: the folder that `tiebreak train`, `blend` or `soup` made.
        votes: at least 100 comparisons with votes; the run must not have been trained on them or their prompts.
        source: a name for the votes, such as that of their file.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        log: called with one sentence at a time.
        on_progress: called with the number of texts judged so far, and the total.

    Returns:
        The calibration. Its method is `none` if no calibration was better than none (`fit_calibration`).

    Raises:
        DataError: a row has no vote, the votes are too few, or the judge cannot be calibrated on them.
        RunError: the folder holds no trained model, or cannot be written to.
        ModelError, MemoryBudgetError: as in `load_judge` and `Judge.compare_many`.
    """
    folder = RunFolder(run)
    folder.check_trained()
    if folder.names_a_model:
        raise RunError(
            f"{run} is a published judge, whose folder is not changed: give a new run folder with --output runs/NAME "
            "(calibrate_published in Python)."
        )
    votes = weighted_rows(votes, source, log)
    labels, prompts = check_votes(votes, source)
    _check_tie_support(folder, [vote[2] for vote in labels], source)
    warn_about_overlap(folder, votes, log)

    judge = load_judge(run, base_model=base_model, device=device, calibrate=False, log=log)
    probabilities = judge_orders(judge, votes, on_progress)
    calibration = fit_calibration(probabilities, labels, prompts, source=source, weights=row_weights(votes))
    _replace_calibration(folder, calibration)
    return calibration


def remove_calibration(run: str | Path) -> bool:
    """Remove a run's calibration from its card; returns whether there was one.

    Raises:
        RunError: the folder holds no trained model, or cannot be written to.
    """
    folder = RunFolder(run)
    folder.check_trained()
    return _replace_calibration(folder, None) is not None


def weighted_rows(votes: Sequence[Comparison], source: str, log: Callable[[str], None]) -> list[Comparison]:
    """The rows with a weight above 0; nothing is fitted to the others, whose number is logged.

    Raises:
        DataError: there are rows, but all have weight 0.
    """
    kept = [row for row in votes if row.weight]
    if votes and not kept:
        raise DataError(f"{source}: all {pluralize(len(votes), 'row')} have weight 0. Give weights above 0.")
    if len(kept) < len(votes):
        log(f"{source}: {len(votes) - len(kept):,} of {pluralize(len(votes), 'row')} have weight 0: left out.")
    return kept


def check_votes(votes: Sequence[Comparison], source: str) -> tuple[list[Vote], list[str]]:
    """The votes and the folded prompts of rows to calibrate on.

    Raises:
        DataError: a row has no vote, or the votes are too few.
    """
    labels = [row.vote for row in votes if row.vote is not None]
    if len(labels) < len(votes):
        raise DataError(f"{source}: {pluralize(len(votes) - len(labels), 'row')} without a vote. Leave them out.")
    prompts = [row.folded_prompt for row in votes]
    check_calibration_votes(labels, prompts, source, "Give more votes.", row_weights(votes))
    return labels, prompts


def judge_orders(
    judge: Judge, votes: Sequence[Comparison], on_progress: Callable[[int, int], None] | None
) -> NDArray[np.float64]:
    """Probabilities [rows, orders, 3] in which A is the same answer in every order; one order of a symmetric judge."""
    total = judge.texts(len(votes), "none" if judge.is_symmetric else "average")
    count = None if on_progress is None else cumulative_progress(total, on_progress)
    if judge.is_symmetric:
        return probability_array(judge.compare_many(votes, on_progress=count))[:, None]
    orders = zip(*judge.compare_orders(votes, on_progress=count), strict=True)
    return np.stack([probability_array(verdicts) for verdicts in orders], axis=1)


def _replace_calibration(folder: RunFolder, calibration: Calibration | None) -> Calibration | None:
    """Write the calibration to the run's card, of whichever kind; returns the one that was there."""
    change = {"calibration": calibration}
    if folder.holds_a_blend:
        blend = read_blend(folder.model)
        write_blend(folder.model, blend.model_copy(update=change))
        return blend.calibration
    if folder.holds_a_baseline:
        baseline = read_baseline_card(folder.model)
        write_baseline_card(folder.model, baseline.model_copy(update=change))
        return baseline.calibration
    from tiebreak.models import read_card, write_card  # imports torch, which blends and baselines do without

    card = read_card(folder.model)
    write_card(folder.model, card.model_copy(update=change))
    return card.calibration


def _check_tie_support(folder: RunFolder, ties: Sequence[float], source: str) -> None:
    """Raise, before anything is judged, for ties that the judge gives a probability of 0."""
    if folder.holds_a_blend or folder.holds_a_baseline:
        return
    from tiebreak.models import read_card

    card = read_card(folder.model)
    if card.rewards is not None and card.rewards.tie_model == "bradley-terry" and any(ties):
        raise DataError(
            f"{source}: {pluralize(sum(tie > 0 for tie in ties), 'vote')} for a tie. This judge "
            "(model.tie_model=bradley-terry) gives ties a probability of 0, which no calibration changes. Leave these "
            "rows out."
        )
