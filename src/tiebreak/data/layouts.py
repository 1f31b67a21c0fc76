"""Column names -> what a file of votes looks like."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, Literal

from tiebreak.errors import DataError

Layout = Literal["lmsys", "winner", "soft", "chosen-rejected", "unlabelled"]
"""What the columns of a file say.

- `lmsys`: prompt, response_a, response_b and one-hot winner_model_a, winner_model_b, winner_tie.
- `soft`: the same, with probabilities in them.
- `winner`: prompt, response_a, response_b and one column `winner`: model_a, model_b or tie.
- `chosen-rejected`: chosen, rejected and perhaps prompt, as preference sets on the Hugging Face hub have it.
- `unlabelled`: prompt, response_a, response_b and no votes.

Where there are votes, a column `margin` may say by how much the preferred answer is better. Columns `source`,
`language`, and beside response_a and response_b `model_a` and `model_b`, become the comparison's tags.
"""
Votes = Literal["required", "optional"]

ANSWERS: Final = ("prompt", "response_a", "response_b")
WINNERS: Final = ("winner_model_a", "winner_model_b", "winner_tie")
PAIR: Final = ("chosen", "rejected")
MARGIN: Final = "margin"
"""By how much the preferred answer is better; the name is that of TRL's RewardTrainer."""
MODELS: Final = ("model_a", "model_b")
"""Who gave response_a, and who response_b."""
TAGS: Final = ("language", *MODELS, "source")
"""What may be said of a row besides; in the order of the names, as `Comparison.tags` are."""
KNOWN: Final = ("id", *ANSWERS, *WINNERS, "winner", *PAIR, MARGIN, *TAGS)
"""Every column that is ever read; others are left alone."""


def recognise(name: str, columns: Sequence[str], votes: Votes) -> Layout:
    """The layout that a file's columns make; soft labels are only told from `lmsys` by the values.

    `response_a` and `response_b` go before `chosen` and `rejected` where a file has both, and the three `winner_*`
    columns before `winner`.

    Raises:
        DataError: columns are missing; the message has those found, the nearest names and what is expected.
    """
    present = set(columns)
    if present.issuperset(ANSWERS):
        if present.issuperset(WINNERS):
            return "lmsys"
        if "winner" in present:
            return "winner"
        if votes == "optional" and present.isdisjoint(WINNERS):
            return "unlabelled"
        raise _missing(name, columns, WINNERS)
    if present.issuperset(PAIR):
        return "chosen-rejected"
    raise _missing(
        name, columns, max(ANSWERS, PAIR, key=lambda needed: sum(_near(c, columns) != "" for c in needed[-2:]))
    )


def _near(wanted: str, columns: Sequence[str]) -> str:
    """The column whose name is nearest to the wanted one, or nothing."""
    folded = {column.casefold(): column for column in columns}
    return next((folded[match] for match in get_close_matches(wanted, folded, n=1)), "")


def _missing(name: str, columns: Sequence[str], needed: Sequence[str]) -> DataError:
    absent = [column for column in needed if column not in columns]
    spare = [column for column in columns if column not in KNOWN]
    hints = []
    for column in absent:
        near = _near(column, spare)
        hints.append(f"{column} (rename {near!r}?)" if near else column)
    found = ", ".join(map(repr, columns[:30])) + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
    separator = next((s for s in (";", "\t") if len(columns) == 1 and s in columns[0]), None)
    if separator is not None:
        return DataError(f"{name} has cells separated by {separator!r}. Save it with commas between them.")
    return DataError(
        f"{name} lacks {', '.join(hints)}.\n"
        f"  columns found: {found}\n"
        f"  expected: {', '.join(ANSWERS)} and the votes as {', '.join(WINNERS)}, or as winner (model_a, model_b, "
        f"tie);\n  or: prompt, chosen, rejected."
    )
