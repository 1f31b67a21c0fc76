"""A finished run's calibration: fitted on votes that it never learned from, kept in its card, taken out again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from tiebreak.answer_order import align_orders
from tiebreak.baselines import read_baseline_card, write_baseline_card
from tiebreak.calibration import Calibration, check_calibration_votes, fit_calibration
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.judges import load_judge, probability_array
from tiebreak.judges.ensemble import read_blend, write_blend
from tiebreak.progress import cumulative_progress
from tiebreak.runs import RunFolder
from tiebreak.types import Comparison
from tiebreak.workflows.vote_overlap import warn_about_overlap

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
    """Fit a calibration for a finished run and keep it in its card, in the place of any there was.

    Judges use it from then on. What is measured in the run's folder (`metrics.json`, `predictions.parquet`) stays as
    it was. Of a blend it is the mean that is calibrated; its members give what they gave when its weights were found.

    Args:
        run: the folder that `tiebreak train`, `blend` or `soup` made.
        votes: at least 100 comparisons with votes; the run must not have learned from them or their prompts.
        source: what they are, in words.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        tell: called with one sentence at a time about what should be known.
        on_progress: called with how many texts are judged, and how many there are.

    Returns:
        What was kept. Its method is `none` if no calibration was better than none (`fit_calibration`).

    Raises:
        DataError: a row has no vote, or the votes are too few or none that this judge can be calibrated on.
        RunError: the folder holds no trained model, or cannot be written to.
        ModelError, MemoryBudgetError: as in `load_judge` and `Judge.compare_many`.
    """
    folder = RunFolder(run)
    folder.check_trained()
    rows = [(row, row.vote) for row in votes if row.vote is not None]
    if len(rows) < len(votes):
        raise DataError(f"{source}: {pluralize(len(votes) - len(rows), 'row')} without a vote. Leave them out.")
    prompts = [row.folded_prompt for row, _ in rows]
    check_calibration_votes([vote for _, vote in rows], prompts, source, "Give more votes.")
    _check_tie_support(folder, [vote[2] for _, vote in rows], source)
    warn_about_overlap(folder, votes, log)

    judge = load_judge(run, base_model=base_model, device=device, calibrate=False, log=log)
    orders = [order for row, _ in rows for order in ((row,) if judge.is_symmetric else row.orders)]
    counting = None if on_progress is None else cumulative_progress(judge.texts(len(orders), "none"), on_progress)
    verdicts = judge.compare_many(orders, on_progress=counting)
    judged = align_orders(probability_array(verdicts).reshape(len(rows), -1, 3))
    calibration = fit_calibration(judged, [vote for _, vote in rows], prompts, source=source)
    _replace(folder, calibration)
    return calibration


def remove_calibration(run: str | Path) -> bool:
    """Take a run's calibration out of its card; returns whether there was one.

    Raises:
        RunError: the folder holds no trained model, or cannot be written to.
    """
    folder = RunFolder(run)
    folder.check_trained()
    return _replace(folder, None) is not None


def _replace(folder: RunFolder, calibration: Calibration | None) -> Calibration | None:
    """Keep this one in the run's card, whichever kind of card that is; returns the one that was there."""
    change = {"calibration": calibration}
    if folder.holds_a_blend:
        blended = read_blend(folder.model)
        write_blend(folder.model, blended.model_copy(update=change))
        return blended.calibration
    if folder.holds_a_baseline:
        classical = read_baseline_card(folder.model)
        write_baseline_card(folder.model, classical.model_copy(update=change))
        return classical.calibration
    from tiebreak.models import read_card, write_card  # torch, which the others do without

    card = read_card(folder.model)
    write_card(folder.model, card.model_copy(update=change))
    return card.calibration


def _check_tie_support(folder: RunFolder, ties: Sequence[float], source: str) -> None:
    """Say before anything is judged what `fit_calibration` would say after."""
    if folder.holds_a_blend or folder.holds_a_baseline:
        return
    from tiebreak.models import read_card

    card = read_card(folder.model)
    if card.rewards is not None and card.rewards.tie_model == "bradley-terry" and any(ties):
        raise DataError(
            f"{source}: {pluralize(sum(tie > 0 for tie in ties), 'vote')} for a tie, which this judge's "
            "model.tie_model=bradley-terry holds impossible. No calibration mends that: leave these rows out."
        )
