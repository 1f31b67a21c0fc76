"""The names of columns, and the layout that the columns of a file make."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, Literal

from tiebreak.errors import DataError

Layout = Literal["lmsys", "winner", "soft", "chosen-rejected", "unlabelled"]
"""The layout of a file of votes.

- `lmsys`: prompt, response_a, response_b and one-hot winner_model_a, winner_model_b, winner_tie.
- `soft`: the same columns with probabilities.
- `winner`: prompt, response_a, response_b and one column `winner`: model_a, model_b or tie.
- `chosen-rejected`: chosen, rejected and optionally prompt, as in preference data sets on the Hugging Face hub.
- `unlabelled`: prompt, response_a, response_b and no votes.

Next to votes, a column `margin` may hold by how much the preferred answer is better, and a column `weight` how many
votes the vote counts as. Columns `source`, `language`, and
with response_a and response_b also `model_a` and `model_b`, become the tags of the comparison.
"""
Votes = Literal["required", "optional"]

TEXT_COLUMNS: Final = ("prompt", "response_a", "response_b")
WINNER_COLUMNS: Final = ("winner_model_a", "winner_model_b", "winner_tie")
CHOSEN_REJECTED_COLUMNS: Final = ("chosen", "rejected")
MARGIN_COLUMN: Final = "margin"
"""By how much the preferred answer is better; the name is that of TRL's RewardTrainer."""
WEIGHT_COLUMN: Final = "weight"
"""How many votes the row's vote counts as."""
MODEL_COLUMNS: Final = ("model_a", "model_b")
"""The models that gave response_a and response_b."""
TAG_COLUMNS: Final = ("language", *MODEL_COLUMNS, "source")
"""Sorted, as `Comparison.tags` are."""
KNOWN_COLUMNS: Final = (
    "id", *TEXT_COLUMNS, *WINNER_COLUMNS, "winner", *CHOSEN_REJECTED_COLUMNS, MARGIN_COLUMN, WEIGHT_COLUMN,
    *TAG_COLUMNS,
)  # fmt: skip
"""All columns that are read; others are ignored."""

_SHOWN: Final = 30


def recognise_layout(name: str, columns: Sequence[str], votes: Votes) -> Layout:
    """The layout of a file with these columns. `soft` differs from `lmsys` in its values only, so it is not returned.

    If a file has both, `response_a` and `response_b` take precedence over `chosen` and `rejected`, and the three
    `winner_*` columns over `winner`.

    Raises:
        DataError: columns are missing; the message lists those present, the nearest names and the expected ones.
    """
    present = set(columns)
    if present.issuperset(TEXT_COLUMNS):
        if present.issuperset(WINNER_COLUMNS):
            return "lmsys"
        if "winner" in present:
            return "winner"
        if votes == "optional" and present.isdisjoint(WINNER_COLUMNS):
            return "unlabelled"
        raise _missing_columns(name, columns, WINNER_COLUMNS)
    if present.issuperset(CHOSEN_REJECTED_COLUMNS):
        return "chosen-rejected"

    def near_matches(expected: Sequence[str]) -> int:
        return sum(_nearest(column, columns) != "" for column in expected[-2:])

    raise _missing_columns(name, columns, max(TEXT_COLUMNS, CHOSEN_REJECTED_COLUMNS, key=near_matches))


def _nearest(expected: str, columns: Sequence[str]) -> str:
    """The column with the name nearest to the expected one, or an empty text."""
    folded = {column.casefold(): column for column in columns}
    return next((folded[match] for match in get_close_matches(expected, folded, n=1)), "")


def _missing_columns(name: str, columns: Sequence[str], expected: Sequence[str]) -> DataError:
    separator = next((s for s in (";", "\t") if len(columns) == 1 and s in columns[0]), None)
    if separator is not None:
        return DataError(f"{name} has cells separated by {separator!r}. Save it with commas between them.")
    unknown = [column for column in columns if column not in KNOWN_COLUMNS]
    missing = []
    for column in expected:
        if column not in columns:
            nearest = _nearest(column, unknown)
            missing.append(f"{column} (rename {nearest!r}?)" if nearest else column)
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    return DataError(
        f"{name} lacks {', '.join(missing)}.\n"
        f"  columns found: {', '.join(map(repr, columns[:_SHOWN]))}{more}\n"
        f"  expected: {', '.join(TEXT_COLUMNS)} and the votes as {', '.join(WINNER_COLUMNS)}, or as winner (model_a, "
        f"model_b, tie);\n  or: prompt, chosen, rejected."
    )
