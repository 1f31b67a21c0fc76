"""A run's predictions.parquet, read again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.errors import ComparisonsError, RunError
from tiebreak.metrics import cross_entropies
from tiebreak.runs import SUBMISSION_COLUMNS, RunFolder
from tiebreak.types import OUTCOMES, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOTES = tuple(f"vote_{outcome}" for outcome in OUTCOMES)
REWARDS = ("reward_a", "reward_b")


@dataclass(frozen=True, eq=False)
class Judged:
    """What a run said of its validation rows, and what people voted."""

    run: Path
    ids: list[str]
    probabilities: NDArray[np.float64]
    """[rows, 3] over `OUTCOMES`."""
    votes: list[Vote]
    rewards: NDArray[np.float64] | None
    """[rows, 2], of A and of B, in nats; None of a judge that has none."""
    name: str
    """What the report calls it."""

    @property
    def losses(self) -> NDArray[np.float64]:
        """[rows], in nats."""
        return cross_entropies(self.probabilities, self.votes)


def read_run_predictions(run: Path) -> Judged:
    """Read a finished run's predictions.

    Raises:
        RunError: there is no finished run, it keeps no predictions, or they cannot be read.
    """
    folder = RunFolder(run)
    folder.check_trained()
    if not folder.predictions.is_file():
        raise RunError(
            f"{run} keeps no {folder.predictions.name}, which a report is made of. `tiebreak train` writes it when "
            f"training ends; of a run without it, `tiebreak evaluate {run} VOTES` prints the numbers."
        )
    try:
        import pandas as pd

        frame = pd.read_parquet(folder.predictions)
        probabilities = frame[list(SUBMISSION_COLUMNS)].to_numpy(dtype=np.float64)
        votes = [(a, b, tie) for a, b, tie in frame[list(VOTES)].to_numpy(dtype=np.float64).tolist()]
        rewards = frame[list(REWARDS)].to_numpy(dtype=np.float64) if REWARDS[0] in frame else None
        judged = Judged(run, frame["id"].astype(str).tolist(), probabilities, votes, rewards, str(run))
        losses = judged.losses
    except (OSError, ValueError, KeyError, TypeError, ComparisonsError) as error:  # pyarrow's are of these kinds
        raise RunError(f"{folder.predictions} cannot be read: {error}. Copy or train the run anew.") from error
    if not len(losses):
        raise RunError(f"{folder.predictions} has no rows to report on. Train with rows to validate on.")
    return judged


def align(judged: Judged, ids: list[str]) -> Judged:
    """The same predictions in the order of `ids`.

    Raises:
        RunError: they are not of the rows with these ids.
    """
    if judged.ids == ids:
        return judged
    place = {row_id: number for number, row_id in enumerate(judged.ids)}
    if len(place) < len(judged.ids) or len(judged.ids) != len(ids) or set(place) != set(ids):
        shared = len(set(place) & set(ids))
        raise RunError(
            f"{judged.run} was validated on other rows: {shared:,} of its {len(judged.ids):,} ids are among this run's "
            f"{len(ids):,}. Train it with the same section data (same file, same data.seed) to put it beside this run."
        )
    order = [place[row_id] for row_id in ids]
    rewards = None if judged.rewards is None else judged.rewards[order]
    votes = [judged.votes[i] for i in order]
    return replace(judged, ids=ids, probabilities=judged.probabilities[order], votes=votes, rewards=rewards)
