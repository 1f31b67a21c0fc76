"""Blending runs of any kind into one run, with weights fitted on votes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.calibration import Calibration, fit_blend_weights, member_gains, out_of_fold_blend
from tiebreak.errors import DataError, RunError
from tiebreak.judges import Swap, load_judge, probability_array
from tiebreak.judges.ensemble import BlendCard, BlendMember, write_blend
from tiebreak.metrics import preference_metrics
from tiebreak.runs import RunFolder, write_json, write_predictions, write_validation_rows
from tiebreak.types import Comparison, Vote
from tiebreak.weights import effective_rows, row_weights
from tiebreak.workflows.calibrate import weighted_rows
from tiebreak.workflows.vote_overlap import warn_about_overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

MIN_ROWS_TO_BLEND: Final = 100
"""Weights fitted on fewer votes would be noise."""

MIN_WEIGHT: Final = 0.001
"""A member of less weight is dropped: it costs as much time as any other and changes almost nothing."""


@dataclass(frozen=True)
class Member:
    """A run in a blend."""

    run: str
    weight: float
    """0 if the run was dropped."""
    loss: float
    """Its own log loss on the votes."""
    gain: float
    """By how much the blend's log loss rises without it, by cross-validation."""


@dataclass(frozen=True)
class Blend:
    """The result of `blend_runs`."""

    folder: RunFolder
    rows: int
    """Votes that the weights were fitted on."""
    metrics: dict[str, float]
    """By cross-validation: each row is predicted with weights that were fitted on rows of other prompts."""
    members: tuple[Member, ...]


def blend_runs(
    runs: Sequence[str | Path],
    output: str | Path,
    votes: Sequence[Comparison],
    *,
    swap: Swap = "none",
    device: str | None = None,
    log: Callable[[str], None] = logger.info,
    on_progress: Callable[[int], None] | None = None,
) -> Blend:
    """Fit the weights under which the mean of several runs' probabilities has the lowest log loss, as a new run.

    The new folder refers to its members' folders, which must stay where they are. Its metrics and predictions are on
    the same votes, by cross-validation: each row is predicted with weights that were fitted without its prompt.

    Args:
        runs: two or more finished runs: pairwise, pointwise, baselines, soups.
        output: the new run's folder.
        votes: at least 100 comparisons with votes that none of the runs was trained on.
        swap: as in `Judge.compare_many`, for every member.
        device: as in `load_judge`.
        log: called with one sentence at a time.
        on_progress: called with the number of texts judged since the last call.

    Raises:
        RunError: a run is not finished or is a blend, fewer than two are given, or the output folder is in use.
        DataError: a vote is missing, or there are too few votes or prompts.
    """
    folders = [RunFolder(run) for run in runs]
    _check_members(folders)
    votes = weighted_rows(votes, "votes", log)
    labels = _check_votes(votes)
    for folder in folders:
        warn_about_overlap(folder, votes, log)
    created = RunFolder(output)
    with created.create():
        probabilities, calibrations = [], []
        for folder in folders:
            log(f"Judging {len(votes):,} comparisons with {folder}.")
            judge = load_judge(folder.path, device=device, log=log)
            probabilities.append(probability_array(judge.compare_many(votes, swap=swap, on_progress=on_progress)))
            calibrations.append(judge.calibration)
        return _write_blend(created, folders, calibrations, np.array(probabilities), votes, labels)


def _check_members(folders: Sequence[RunFolder]) -> None:
    if len({folder.path.resolve() for folder in folders}) < 2:
        raise RunError("A blend needs two different runs or more.")
    for folder in folders:
        folder.check_trained()
        if folder.holds_a_blend:
            raise RunError(f"{folder} is a blend itself. Name its members instead.")
        if folder.names_a_model and not folder.path.exists():  # a blend refers to its members by their folders
            raise RunError(
                f"{folder} is a model on the hub, and a blend refers to folders. Make one: tiebreak calibrate "
                f"{folder} VOTES -o runs/NAME."
            )


def _check_votes(votes: Sequence[Comparison]) -> list[Vote]:
    labels = [row.vote for row in votes if row.vote is not None]
    if len(labels) < len(votes):
        raise DataError(f"{len(votes) - len(labels):,} of {len(votes):,} rows have no vote. Leave them out.")
    weights = row_weights(votes)
    if len(votes) < MIN_ROWS_TO_BLEND:
        raise DataError(f"{len(votes):,} votes are too few to fit weights on. Give {MIN_ROWS_TO_BLEND} or more.")
    if weights is not None and effective_rows(weights) < MIN_ROWS_TO_BLEND:
        raise DataError(
            f"{len(votes):,} weighted votes count as {effective_rows(weights):.1f} of equal weight, which are too few "
            f"to fit weights on. Give {MIN_ROWS_TO_BLEND} or more."
        )
    return labels


def _write_blend(
    created: RunFolder,
    folders: Sequence[RunFolder],
    calibrations: Sequence[Calibration | None],
    probabilities: NDArray[np.float64],
    votes: Sequence[Comparison],
    given: Sequence[Vote],
) -> Blend:
    """Fit the weights and write the new run.

    Args:
        created: its folder.
        folders: the members'.
        calibrations: [members], those that the probabilities went through.
        probabilities: [members, rows, 3] over `OUTCOMES`.
        votes: [rows].
        given: [rows], the votes themselves.
    """
    of_rows = row_weights(votes)
    weights = fit_blend_weights(probabilities, given, of_rows)
    weights = np.where(weights < MIN_WEIGHT, 0.0, weights)
    weights /= weights.sum()
    prompts = [row.folded_prompt for row in votes]
    blended = out_of_fold_blend(probabilities, given, prompts, of_rows)
    metrics = preference_metrics(blended, given, of_rows)
    members = tuple(
        Member(str(folder), float(weight), preference_metrics(p, given, of_rows)["loss"], float(gain))
        for folder, weight, p, gain in zip(
            folders, weights, probabilities, member_gains(probabilities, given, prompts, of_rows), strict=True
        )
    )
    kept = [
        BlendMember(run=os.path.relpath(member.run, created.path), weight=member.weight, calibration=calibration)
        for member, calibration in zip(members, calibrations, strict=True)
        if member.weight
    ]
    write_blend(created.model, BlendCard(members=kept))
    write_validation_rows(created, votes, None)
    write_predictions(created.predictions, votes, blended)
    write_json(created.metrics, metrics)
    return Blend(created, len(votes), metrics, members)
