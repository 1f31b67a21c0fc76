"""DataFrames of comparisons and of verdicts, for `Judge.compare_frame`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tiebreak.judges.verdicts import Verdict
from tiebreak.types import Comparison

if TYPE_CHECKING:
    import pandas as pd


def comparisons_from_frame(frame: pd.DataFrame) -> Sequence[Comparison]:
    """The comparisons of a frame, without votes.

    Raises:
        DataError: a column is missing or a row cannot be used; the message lists all such rows.
    """
    from tiebreak.data import from_frame
    from tiebreak.data.layouts import CHOSEN_REJECTED_COLUMNS, WINNER_COLUMNS

    # `from_frame` checks the other columns and suggests the right spelling
    unread = (*WINNER_COLUMNS, "winner", *CHOSEN_REJECTED_COLUMNS)
    return from_frame(frame[[column for column in frame.columns if column not in unread]])


def verdicts_frame(verdicts: Sequence[Verdict], index: pd.Index) -> pd.DataFrame:
    """Verdicts as a frame."""
    import pandas as pd

    rows = [(*v.probabilities, v.answer) for v in verdicts]
    return pd.DataFrame(rows, index=index, columns=["winner_model_a", "winner_model_b", "winner_tie", "answer"])
