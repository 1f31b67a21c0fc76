"""Runs of any kind blended into one run, and what each of them adds."""

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
from tiebreak.runs import RunFolder, write_json, write_predictions
from tiebreak.types import Comparison, Vote
from tiebreak.workflows.vote_overlap import warn_about_overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

MIN_ROWS_TO_BLEND: Final = 100
"""Votes below which weights would be noise."""

LEAST: Final = 0.001
"""A member of less weight is left out: it costs its whole time and says nothing."""


@dataclass(frozen=True)
class Member:
    """A run in a blend."""

    run: str
    weight: float
    """0 of one that was left out."""
    loss: float
    """Its own log loss on the votes."""
    gain: float
    """By how much the blend's log loss rises without it, by cross-validation."""


@dataclass(frozen=True)
class Blend:
    """What blending came to."""

    folder: RunFolder
    rows: int
    """Votes that the weights were found on."""
    metrics: dict[str, float]
    """By cross-validation: of each row what a blend says whose weights were found on rows of other prompts."""
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
    """Find the weights under which several runs judge best together, and keep them as a run that judges.

    The new folder names its members, and needs them where they are. Its metrics and predictions are of the same votes,
    but by cross-validation: each row is judged with weights that were found without its prompt.

    Args:
        runs: two or more finished runs: pairwise, pointwise, baselines, soups.
        output: the new run's folder.
        votes: at least 100 comparisons with votes that none of the runs has learned from.
        swap: how the runs are asked for their verdicts.
        device: as in `load_judge`.
        tell: called with one sentence at a time about what goes on.
        on_progress: called with the number of texts judged since the last call.

    Raises:
        RunError: a run is not finished or is a blend, fewer than two are given, or the folder is taken.
        DataError: a vote is missing, or they or their prompts are too few.
    """
    folders = [RunFolder(run) for run in runs]
    if len({folder.path.resolve() for folder in folders}) < 2:
        raise RunError("A blend needs two different runs or more.")
    for folder in folders:
        folder.check_trained()
        if folder.holds_a_blend:
            raise RunError(f"{folder} is a blend itself: name its members instead.")
    given: list[Vote] = [row.vote for row in votes if row.vote is not None]
    if len(given) < len(votes):
        raise DataError(f"{len(votes) - len(given):,} of {len(votes):,} rows have no vote. Leave them out.")
    if len(votes) < MIN_ROWS_TO_BLEND:
        raise DataError(f"{len(votes):,} votes are too few to find weights on: give {MIN_ROWS_TO_BLEND} or more.")
    for folder in folders:
        warn_about_overlap(folder, votes, log)
    made = RunFolder(output)
    with made.create():
        judged, calibrations = [], []
        for folder in folders:
            log(f"Judging {len(votes):,} comparisons by {folder}.")
            judge = load_judge(folder.path, device=device, log=log)
            verdicts = judge.compare_many(votes, swap=swap, on_progress=on_progress)
            judged.append(probability_array(verdicts))
            calibrations.append(judge.calibration)
        return _keep(made, folders, calibrations, np.array(judged), votes, given)


def _keep(
    made: RunFolder, folders: Sequence[RunFolder], calibrations: Sequence[Calibration | None],
    judged: NDArray[np.float64], votes: Sequence[Comparison], given: Sequence[Vote],
) -> Blend:  # fmt: skip
    weights = fit_blend_weights(judged, given)
    weights = np.where(weights < LEAST, 0.0, weights)
    weights /= weights.sum()
    prompts = [row.folded_prompt for row in votes]
    probabilities = out_of_fold_blend(judged, given, prompts)
    metrics = preference_metrics(probabilities, given)
    members = tuple(
        Member(str(folder), float(weight), preference_metrics(p, given)["loss"], float(gain))
        for folder, weight, p, gain in zip(folders, weights, judged, member_gains(judged, given, prompts), strict=True)
    )
    kept = [
        BlendMember(run=os.path.relpath(member.run, made.path), weight=member.weight, calibration=calibration)
        for member, calibration in zip(members, calibrations, strict=True)
        if member.weight
    ]
    write_blend(made.model, BlendCard(members=kept))
    write_predictions(made.predictions, votes, probabilities)
    write_json(made.metrics, metrics)
    return Blend(made, len(votes), metrics, members)
