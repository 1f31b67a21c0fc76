"""Files of a judge's probabilities: a run's predictions include the votes, a submission does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import DataError
from tiebreak.runs.files import write_atomically
from tiebreak.types import OUTCOMES, Comparison
from tiebreak.weights import row_weights

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

SUBMISSION_COLUMNS = tuple(f"winner_{outcome}" for outcome in OUTCOMES)
"""`winner_model_a, winner_model_b, winner_tie`: the columns of Kaggle's submission, after `id`."""


def submission_frame(
    comparisons: Sequence[Comparison], probabilities: ArrayLike, *, integer_ids: bool = False
) -> pd.DataFrame:
    """Kaggle's submission format: `id` and one column per outcome, one row per comparison in the given order.

    Args:
        comparisons: [rows].
        probabilities: [rows, 3] over `OUTCOMES`.
        integer_ids: write the ids as integers; all of them must be integers.

    Returns:
        A frame whose three probabilities sum to 1 in float64, up to rounding.
    """
    import pandas as pd

    exact = np.asarray(probabilities, dtype=np.float64)
    exact = exact / exact.sum(axis=1, keepdims=True)
    columns: dict[str, Any] = {"id": [int(c.id) if integer_ids else c.id for c in comparisons]}
    columns |= {name: exact[:, i] for i, name in enumerate(SUBMISSION_COLUMNS)}
    return pd.DataFrame(columns)


def write_submission(
    path: Path, comparisons: Sequence[Comparison], probabilities: ArrayLike, *, integer_ids: bool = False
) -> None:
    """Write a `submission_frame` atomically, as Parquet or JSONL by the file's extension, else as CSV.

    Raises:
        DataError: the extension is not supported.
        RunError: the disk is full, or the folder cannot be written to.
    """
    check_submission_path(path)
    write_frame(path, submission_frame(comparisons, probabilities, integer_ids=integer_ids))


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame atomically, as Parquet or JSONL by the file's extension, else as CSV.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    if path.suffix == ".parquet":
        write_atomically(path, lambda draft: frame.to_parquet(draft, index=False))
    elif path.suffix == ".jsonl":
        write_atomically(path, lambda draft: frame.to_json(draft, orient="records", lines=True, double_precision=15))
    else:
        write_atomically(path, lambda draft: frame.to_csv(draft, index=False))


def check_submission_path(path: Path) -> None:
    """Check, before hours of judging, that predictions can be written there.

    Raises:
        DataError: the extension is not .csv, .parquet, .jsonl or empty (as in /dev/stdout), or the path is a folder.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file in it, such as {path / 'submission.csv'}.")
    if path.suffix not in ("", ".csv", ".parquet", ".jsonl"):
        raise DataError(f"{path}: predictions are written as .csv, .parquet or .jsonl, not as {path.suffix}.")


def write_predictions(
    path: Path, comparisons: Sequence[Comparison], probabilities: ArrayLike, rewards: ArrayLike | None = None
) -> None:
    """Write a run's predictions as Parquet: id, the judge's probabilities, the vote, and rewards if there are any.

    There is a column `weight` if a weight is not 1.

    Args:
        path: the file.
        comparisons: [rows], with votes.
        probabilities: [rows, 3] over `OUTCOMES`.
        rewards: [rows, 2], of A and of B, in nats; None if the judge gives none.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    frame = submission_frame(comparisons, probabilities)
    votes = np.asarray([c.vote for c in comparisons], dtype=np.float64)
    for index, outcome in enumerate(OUTCOMES):
        frame[f"vote_{outcome}"] = votes[:, index]
    weights = row_weights(comparisons)
    if weights is not None:
        frame["weight"] = weights
    if rewards is not None:
        frame["reward_a"], frame["reward_b"] = np.asarray(rewards, dtype=np.float64).T
    write_atomically(path, lambda draft: frame.to_parquet(draft, index=False))
