"""Problems in the rows of a file: their kinds, their severity, and the collection of those of one row."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

Severity = Literal["unreadable", "empty", "duplicate_id", "note"]
"""The severity of a problem.

- `unreadable`: the row does not make a comparison.
- `empty`: the row makes a comparison whose prompt or one of whose answers is empty.
- `duplicate_id`: the comparison is valid, but an earlier row has the same id.
- `note`: the comparison is valid; the row was repaired or is unusual.
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
    "tool_calls",
    "prompt_mismatch",
    "no_vote",
    "no_winner",
    "several_winners",
    "not_a_probability",
    "bad_sum",
    "unknown_winner",
    "not_a_number",
    "not_a_margin",
    "margin_of_tie",
    "not_a_weight",
    "empty_prompt",
    "empty_answer",
    "duplicate_id",
    "empty_turn",
    "repaired_text",
    "huge_cell",
    "lists_as_text",
    "missing_id",
]

_SEVERITIES: Final[dict[Kind, Severity]] = {
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
"""What `Problem.line` counts: physical lines of a text file, or rows of a format without lines."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in one row.

    `line` is the physical line on which the row starts, counted from 1 (CSV, JSON lines), the row number counted from
    1 (Parquet, a JSON list), or the position as in `DataFrame.iloc`; `unit` is the word to print before it. `id` and
    `column` are empty if they are not known.
    """

    line: int
    id: str
    column: str
    kind: Kind
    message: str
    severity: Severity
    unit: Unit = "line"

    def __str__(self) -> str:
        """One line, such as `line 12, id 345, response_a: is empty`."""
        row_id = " ".join(self.id.split())
        location = (f"{self.unit} {self.line}", f"id {row_id}" if row_id else "", self.column)
        return f"{', '.join(part for part in location if part)}: {self.message}"


class UnreadableError(Exception):
    """A cell, or several cells together, cannot be read."""

    def __init__(self, column: str, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.kind: Kind = kind
        self.message = message


class RowReport:
    """The problems of one row, in the order in which they were found.

    As a context manager it records an `UnreadableError` raised inside and continues after the block, so that one
    pass over a row finds all its problems.
    """

    def __init__(self, line: int, unit: Unit) -> None:
        self.id = ""
        self.problems: list[Problem] = []
        self._line = line
        self._unit: Unit = unit

    def add(self, column: str, kind: Kind, message: str) -> None:
        """Record a problem in a column."""
        self.problems.append(Problem(self._line, self.id, column, kind, message, severity_of(kind), self._unit))

    def is_unreadable(self) -> bool:
        """Whether a problem recorded so far keeps the row from making a comparison."""
        return any(problem.severity == "unreadable" for problem in self.problems)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, UnreadableError):
            return False
        self.add(error.column, error.kind, error.message)
        return True


def severity_of(kind: Kind) -> Severity:
    """The severity of a kind of problem."""
    return _SEVERITIES.get(kind, "unreadable")


def short_repr(value: object, limit: int = 60) -> str:
    """The `repr` of a value, shortened to about `limit` characters."""
    if isinstance(value, str) and len(value) > limit:
        value = value[:limit] + "…"  # before the repr, which would be slow for a cell of megabytes
    text = repr(value)
    return text if len(text) <= 2 * limit else text[:limit] + "…"
