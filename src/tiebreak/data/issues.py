"""What can be wrong with a row of votes, and how much it matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["unreadable", "empty", "duplicate_id", "note"]
"""How much a problem matters.

- `unreadable`: no comparison can be made of the row.
- `empty`: a comparison can be made, with an empty prompt or an empty answer in it.
- `duplicate_id`: the comparison is fine, but an earlier row carries the same id.
- `note`: nothing stands in the way; the row was repaired, or is remarkable.
"""

Kind = Literal[
    "undecodable",
    "broken_csv",
    "ragged_row",
    "unclosed_quote",
    "broken_json",
    "missing_prompt",
    "not_text",
    "no_turns",
    "turn_mismatch",
    "roles",
    "prompt_mismatch",
    "no_vote",
    "no_winner",
    "several_winners",
    "not_a_probability",
    "bad_sum",
    "unknown_winner",
    "not_a_margin",
    "margin_of_tie",
    "empty_prompt",
    "empty_answer",
    "duplicate_id",
    "empty_turn",
    "repaired_text",
    "huge_cell",
    "lists_as_text",
    "missing_id",
]

_MILDER: Final[dict[Kind, Severity]] = {
    "empty_prompt": "empty",
    "empty_answer": "empty",
    "duplicate_id": "duplicate_id",
    "empty_turn": "note",
    "repaired_text": "note",
    "huge_cell": "note",
    "lists_as_text": "note",
    "missing_id": "note",
}

Unit = Literal["line", "row"]
"""What the number of a row counts: physical lines of a text file, or rows where there are no lines."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with, or remarkable about, one row.

    `line` is the physical line on which the row starts, counted from 1 (CSV, JSON lines), the number of the row
    counted from 1 (Parquet, a JSON list), or its position as in `DataFrame.iloc`; `unit` is the word to print for
    it. `id` and `column` are empty where the row could not be read far enough to know them.
    """

    line: int
    id: str
    column: str
    kind: Kind
    message: str
    severity: Severity
    unit: Unit = "line"

    def __str__(self) -> str:
        """One line for people: `line 12, id 345, response_a: is empty`."""
        identity = " ".join(self.id.split())
        where = (f"{self.unit} {self.line}", f"id {identity}" if identity else "", self.column)
        return f"{', '.join(part for part in where if part)}: {self.message}"


class UnreadableError(Exception):
    """A cell, or a few together, of which nothing can be made."""

    def __init__(self, column: str, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.kind: Kind = kind
        self.message = message


def severity_of(kind: Kind) -> Severity:
    """How much a kind of problem matters."""
    return _MILDER.get(kind, "unreadable")


def shown(value: object, limit: int = 60) -> str:
    """The `repr` of a value, shortened to about `limit` characters."""
    if isinstance(value, str) and len(value) > limit:
        value = value[:limit] + "…"  # before the repr: that of a cell of megabytes is not worth making
    text = repr(value)
    return text if len(text) <= 2 * limit else text[:limit] + "…"
