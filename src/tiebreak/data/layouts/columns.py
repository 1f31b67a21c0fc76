"""The names of columns, and the layout that the columns of a file make."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Final, Literal

from tiebreak.data.issues import Problem
from tiebreak.errors import DataError

Layout = Literal["lmsys", "winner", "soft", "chosen-rejected", "unlabelled"]
"""The layout of a file of votes.

- `lmsys`: prompt, response_a, response_b and one-hot winner_model_a, winner_model_b, winner_tie.
- `soft`: the same columns with probabilities.
- `winner`: prompt, response_a, response_b and one column `winner`: model_a, model_b or tie.
- `chosen-rejected`: chosen, rejected and optionally prompt, as in preference data sets on the Hugging Face hub.
- `unlabelled`: prompt, response_a, response_b and no votes.

Next to votes, a column `margin` may hold by how much the preferred answer is better, and a column `weight` how many
votes the vote counts as. Columns `source`, `language`, and with response_a and response_b also `model_a` and `model_b`,
become the tags of the comparison. A column `system` holds the system message.
"""
Votes = Literal["required", "optional"]

TEXT_COLUMNS: Final = ("prompt", "response_a", "response_b")
WINNER_COLUMNS: Final = ("winner_model_a", "winner_model_b", "winner_tie")
CHOSEN_REJECTED_COLUMNS: Final = ("chosen", "rejected")
MARGIN_COLUMN: Final = "margin"
"""By how much the preferred answer is better; the name is that of TRL's RewardTrainer."""
SYSTEM_COLUMN: Final = "system"
"""The system message of the prompt."""
WEIGHT_COLUMN: Final = "weight"
"""How many votes the row's vote counts as."""
MODEL_COLUMNS: Final = ("model_a", "model_b")
"""The models that gave response_a and response_b."""
TAG_COLUMNS: Final = ("language", *MODEL_COLUMNS, "source", "tie_kind")
"""Sorted, as `Comparison.tags` are."""
KNOWN_COLUMNS: Final = (
    "id", *TEXT_COLUMNS, *WINNER_COLUMNS, "winner", *CHOSEN_REJECTED_COLUMNS, MARGIN_COLUMN, WEIGHT_COLUMN,
    SYSTEM_COLUMN, *TAG_COLUMNS,
)  # fmt: skip
"""All columns that are read; others are ignored."""

_SHOWN: Final = 30
_SIDE: Final = re.compile(r"(?<=_)[ab]$")
"""What tells the columns of the two sides apart."""
_LIKE_TIE: Final = re.compile(r"(^|[_\W])(is_?)?(tie|ties|draw|both)s?($|[_\W])", re.IGNORECASE)
"""A name that a column of ties might have."""
_ABOUT_TEXT: Final = re.compile(r"(^|[_\W])(model|score|rating|reward|id|tokens?|len|length)s?($|[_\W])", re.IGNORECASE)
"""A name of a column that says something about a text, such as chosen_model."""


_PROMPT_ALIASES: Final = {"conversations", "messages", "instruction", "question", "query", "input"}
"""Columns that hold the prompt where there is none of that name (see `tiebreak.data.converters.pairs`)."""


def is_native(columns: Collection[str]) -> bool:
    """Whether a file with these columns has its texts in Tiebreak's own columns."""
    present = set(columns)
    if present.issuperset(TEXT_COLUMNS[1:]):
        return True
    return present.issuperset(CHOSEN_REJECTED_COLUMNS) and ("prompt" in present or not present & _PROMPT_ALIASES)


def recognise_layout(name: str, columns: Sequence[str], votes: Votes) -> Layout:
    """The layout of a file with these columns. `soft` differs from `lmsys` in its values only, so it is not returned.

    If a file has both, `response_a` and `response_b` take precedence over `chosen` and `rejected`, and the three
    `winner_*` columns over `winner`. Without `prompt`, `response_a` and `response_b` have to be whole conversations
    (`check_prompt`).

    Raises:
        DataError: columns are missing; the message lists those present, the nearest names and the expected ones.
    """
    present = set(columns)
    if present.issuperset(TEXT_COLUMNS[1:]) and ("prompt" in present or not _nearest("prompt", columns)):
        if present.issuperset(WINNER_COLUMNS):
            return "lmsys"
        if "winner" in present:
            return "winner"
        if present.issuperset(WINNER_COLUMNS[:2]) and not any(map(_LIKE_TIE.search, columns)):
            return "lmsys"  # votes without ties
        if votes == "optional" and present.isdisjoint(WINNER_COLUMNS):
            return "unlabelled"
        raise _missing_columns(name, columns, WINNER_COLUMNS)
    if present.issuperset(CHOSEN_REJECTED_COLUMNS):
        return "chosen-rejected"

    def near_matches(expected: Sequence[str]) -> int:
        return sum(_nearest(column, columns) != "" for column in expected[-2:])

    raise _missing_columns(name, columns, max(TEXT_COLUMNS, CHOSEN_REJECTED_COLUMNS, key=near_matches))


def check_prompt(name: str, columns: Sequence[str], problems: Iterable[Problem], rows: int) -> None:
    """Check that rows of side-by-side answers without a column `prompt` were whole conversations.

    Raises:
        DataError: there is no such column, and all rows lack a prompt.
    """
    if "prompt" in columns or not rows:
        return
    if sum(problem.column == "prompt" and problem.kind == "missing_prompt" for problem in problems) == rows:
        raise _missing_columns(name, columns, TEXT_COLUMNS)


def _nearest(expected: str, columns: Sequence[str]) -> str:
    """The column with the name nearest to the expected one, or an empty text.

    A column of one side is near only if its name ends in the letter of that side: a hint that exchanges A and B would
    turn the votes around.
    """
    side = _SIDE.search(expected)
    if side is not None:
        columns = [column for column in columns if column.casefold().endswith(side.group())]
    if expected in (*TEXT_COLUMNS, *CHOSEN_REJECTED_COLUMNS):
        columns = [column for column in columns if not _ABOUT_TEXT.search(column)]
    folded = {column.casefold(): column for column in columns}
    near = get_close_matches(expected, folded, n=1)
    if expected in CHOSEN_REJECTED_COLUMNS:
        near += [column for column in folded if column.startswith(f"{expected}_")]
    return folded[near[0]] if near else ""


def _missing_columns(name: str, columns: Sequence[str], expected: Sequence[str]) -> DataError:
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
        f"model_b, tie);\n  or: prompt, chosen, rejected; or a layout of another project (see the guide on votes).\n"
        "  Name other columns with --map (check, convert) or data.columns (recipes), such as prompt=question."
    )
