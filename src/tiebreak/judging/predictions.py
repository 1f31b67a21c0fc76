"""A judge's probabilities as files: with the votes for a run's record, without for a submission."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.comparison import OUTCOMES, Comparison
from tiebreak.errors import DataError
from tiebreak.run import write_whole

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

SUBMISSION_COLUMNS = tuple(f"winner_{outcome}" for outcome in OUTCOMES)
"""`winner_model_a, winner_model_b, winner_tie`: the columns of Kaggle's submission, beside `id`."""


def submission_frame(comparisons: Sequence[Comparison], probabilities: ArrayLike) -> pd.DataFrame:
    """Kaggle's submission: `id` and one column an outcome, a row a comparison in the given order.

    Args:
        comparisons: [rows].
        probabilities: [rows, 3] over `OUTCOMES`.

    Returns:
        A frame whose three probabilities sum to 1 in float64, as closely as float64 can.
    """
    import pandas as pd

    exact = np.asarray(probabilities, dtype=np.float64)
    exact = exact / exact.sum(axis=1, keepdims=True)
    columns: dict[str, Any] = {"id": [c.id for c in comparisons]}
    columns |= {name: exact[:, i] for i, name in enumerate(SUBMISSION_COLUMNS)}
    return pd.DataFrame(columns)


def write_submission(path: Path, comparisons: Sequence[Comparison], probabilities: ArrayLike) -> None:
    """Write a submission as CSV, or as Parquet or JSONL by the file's ending, whole or not at all.

    Raises:
        DataError: the file's ending is none of these.
        RunError: the disk is full, or the folder cannot be written to.
    """
    frame = submission_frame(comparisons, probabilities)
    ending = path.suffix.lower()
    if ending == ".parquet":
        write_whole(path, lambda draft: frame.to_parquet(draft, index=False))
    elif ending == ".jsonl":
        write_whole(path, lambda draft: frame.to_json(draft, orient="records", lines=True))
    elif ending in (".csv", ""):
        write_whole(path, lambda draft: frame.to_csv(draft, index=False))
    else:
        raise DataError(f"{path}: predictions are written as .csv, .parquet or .jsonl, not {ending}.")


def write_predictions(path: Path, comparisons: Sequence[Comparison], probabilities: ArrayLike) -> None:
    """Write a run's validation rows as Parquet: id, the vote's and the judge's probabilities.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    frame = submission_frame(comparisons, probabilities)
    votes = np.asarray([c.vote for c in comparisons], dtype=np.float64)
    for index, outcome in enumerate(OUTCOMES):
        frame[f"vote_{outcome}"] = votes[:, index]
    write_whole(path, lambda draft: frame.to_parquet(draft, index=False))
