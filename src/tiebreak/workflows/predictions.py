"""A finished run's predictions on its validation rows, and the calibration that they went through."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from tiebreak.calibration import Calibration
from tiebreak.errors import ComparisonsError, RunError
from tiebreak.judges.ensemble import read_blend
from tiebreak.metrics import cross_entropies
from tiebreak.runs import BASELINE_CARD, SUBMISSION_COLUMNS, RunFolder
from tiebreak.types import OUTCOMES, Vote
from tiebreak.weights import validate_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOTE_COLUMNS = tuple(f"vote_{outcome}" for outcome in OUTCOMES)
REWARD_COLUMNS = ("reward_a", "reward_b")


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """A run's probabilities for its validation rows, with the votes."""

    run: Path
    name: str
    """How tables and reports call the run."""
    ids: list[str]
    probabilities: NDArray[np.float64]
    """[rows, 3] over `OUTCOMES`."""
    votes: list[Vote]
    rewards: NDArray[np.float64] | None
    """[rows, 2], of A and of B, in nats; None for a judge without rewards."""
    weights: NDArray[np.float64] | None = None
    """[rows], how much each row counts; None if all count the same."""

    @property
    def losses(self) -> NDArray[np.float64]:
        """Log loss of each row [rows], in nats."""
        return cross_entropies(self.probabilities, self.votes)


def read_run_predictions(run: str | Path) -> RunPredictions:
    """Read a finished run's `predictions.parquet`.

    Raises:
        RunError: there is no finished run, it has no predictions, or they cannot be read.
    """
    folder = RunFolder(run)
    folder.check_trained()
    if not folder.predictions.is_file():
        raise RunError(
            f"{run} has no {folder.predictions.name}. `tiebreak train` writes it at the end of training. To measure "
            f"this run on votes: tiebreak evaluate {run} VOTES."
        )
    try:
        import pandas as pd

        frame = pd.read_parquet(folder.predictions)
        votes = [(a, b, tie) for a, b, tie in frame[list(VOTE_COLUMNS)].to_numpy(dtype=np.float64).tolist()]
        predictions = RunPredictions(
            folder.path,
            str(run),
            frame["id"].astype(str).tolist(),
            frame[list(SUBMISSION_COLUMNS)].to_numpy(dtype=np.float64),
            votes,
            frame[list(REWARD_COLUMNS)].to_numpy(dtype=np.float64) if REWARD_COLUMNS[0] in frame else None,
            validate_weights(frame["weight"].to_numpy(dtype=np.float64) if "weight" in frame else None, len(frame)),
        )
        rows = len(predictions.losses)
    except (OSError, ValueError, KeyError, TypeError, ComparisonsError) as error:  # pyarrow's errors are of these kinds
        raise RunError(f"{folder.predictions} cannot be read: {error}. Copy or train the run again.") from error
    if not rows:
        raise RunError(f"{folder.predictions} has no rows. Train the run with validation rows.")
    return predictions


def align_predictions(predictions: RunPredictions, ids: Sequence[str]) -> RunPredictions:
    """The same predictions in the order of `ids`.

    Raises:
        RunError: they are not of the rows with these ids.
    """
    if predictions.ids == ids:
        return predictions
    position = {row_id: number for number, row_id in enumerate(predictions.ids)}
    if len(position) < len(predictions.ids) or len(predictions.ids) != len(ids) or set(position) != set(ids):
        shared = len(set(position) & set(ids))
        raise RunError(
            f"{predictions.run} was validated on other rows: {shared:,} of its {len(predictions.ids):,} ids are among "
            f"this run's {len(ids):,}. Train it with the same `data` section (same file, same data.seed)."
        )
    order = [position[row_id] for row_id in ids]
    return replace(
        predictions,
        ids=list(ids),
        probabilities=predictions.probabilities[order],
        votes=[predictions.votes[i] for i in order],
        rewards=None if predictions.rewards is None else predictions.rewards[order],
        weights=None if predictions.weights is None else predictions.weights[order],
    )


def read_calibration(run: RunFolder) -> Calibration | None:
    """The calibration in the run's card, of whichever kind; torch is not imported.

    Raises:
        RunError: the card cannot be read.
    """
    if run.holds_a_blend:
        return read_blend(run.model).calibration
    path = run.model / (BASELINE_CARD if run.holds_a_baseline else "tiebreak.json")
    kept = read_json_object(path).get("calibration")
    try:
        return None if kept is None else Calibration.model_validate(kept)
    except ValidationError as error:
        raise RunError(f"{path} cannot be read by this version of Tiebreak: {error}") from error


def is_calibrated_later(run: RunFolder) -> bool:
    """Whether `tiebreak calibrate` changed the run after training, so that its predictions are uncalibrated.

    Raises:
        RunError: the card or the metrics cannot be read.
    """
    return read_calibration(run) is not None and "uncalibrated_loss" not in read_json_object(run.metrics)


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON file's names and values; empty where there is no file.

    Raises:
        RunError: the file cannot be read, or holds something else.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. Copy or train the run again.") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds a {type(value).__name__}, not a JSON object. Copy or train the run again.")
    return value
