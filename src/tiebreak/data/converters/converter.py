"""What a converter is, and how it reads cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tiebreak.data.cells import PRINTED_MESSAGES, check_not_printed, is_blank, looks_like_python_repr
from tiebreak.data.issues import UnreadableError, short_repr
from tiebreak.data.messages import is_messages, is_written_as_messages
from tiebreak.data.readers.json_reader import parse_json

Cells = dict[str, object]

KEPT: Final = frozenset({"id", "language", "margin", "source", "system", "weight"})
"""Columns that keep their meaning in every layout, if `convert` does not give them."""
WINNERS: Final = ("model_a", "model_b")
"""The winners of the answers at positions 0 and 1."""


@dataclass(frozen=True)
class Converter:
    """A layout of other people's files, and how a row of it becomes rows with Tiebreak's own columns.

    `convert` takes the cells of a row and the id of the row. Its result has the columns of the layout `winner` or
    `chosen-rejected`. It raises `UnreadableError` for a row that it does not understand.
    """

    name: str
    """Shown as the layout of the file."""
    title: str
    required: frozenset[str]
    """The columns by which the layout is recognised. A layout without a column of votes may have rows without votes."""
    reads: Mapping[str, str]
    """Tiebreak's columns, and the column of the file that each is read from."""
    convert: Callable[[Cells, str], Iterable[Cells]]
    more: frozenset[str] = frozenset()
    """Other columns that are read, if a file has them."""
    votes: str = ""
    """How the votes are read, in a few words."""
    makes_ids: bool = False
    """Whether `convert` gives ids, as it must where a row makes several."""
    computed: frozenset[str] = frozenset()
    """Tiebreak's columns that `convert` computes from more than one column of the file, or from part of one."""

    @property
    def columns(self) -> frozenset[str]:
        """All columns that are read, if a file has them."""
        return self.required | self.more | frozenset(self.reads.values()) | KEPT

    @property
    def mappable(self) -> frozenset[str]:
        """Tiebreak's columns for which another column of the file can be read."""
        columns = [*self.reads.values()]
        whole = frozenset(target for target, column in self.reads.items() if columns.count(column) == 1)
        return (whole | KEPT) - self.computed


def user(prompt: object) -> list[object]:
    """The messages of a prompt: a list of them, also as JSON text; anything else is one message.

    Raises:
        UnreadableError: the prompt is a list of messages that Python printed.
    """
    check_not_printed("prompt", prompt)
    if is_written_as_messages(prompt):
        return read_list("prompt", prompt)
    if isinstance(prompt, list) and is_messages(prompt):
        return prompt
    return [{"role": "user", "content": prompt}]


def reply(answer: object) -> object:
    """An answer as a layout takes it: a text, or a list of messages instead of one message."""
    return [answer] if isinstance(answer, Mapping) else answer


def pick(cells: Cells, **columns: str) -> Cells:
    """Cells under Tiebreak's names, without those that the row lacks."""
    return {name: cells[column] for name, column in columns.items() if column in cells}


def read_list(column: str, cell: object) -> list[object]:
    """The list in a cell, which may be JSON text.

    Raises:
        UnreadableError: there is none.
    """
    if isinstance(cell, str):
        try:
            cell = parse_json(cell)
        except ValueError as error:
            message = PRINTED_MESSAGES if looks_like_python_repr(cell) else f"is not a JSON list: {error}"
            raise UnreadableError(column, "broken_json", message) from None
    if not isinstance(cell, list):
        raise UnreadableError(column, "not_text", f"is {short_repr(cell)}: expected a list")
    return cell


def read_object(column: str, cell: object) -> dict[str, object]:
    """The object in a cell, which may be JSON text.

    Raises:
        UnreadableError: there is none.
    """
    if isinstance(cell, str):
        printed = cell.lstrip().startswith("{'")
        try:
            cell = parse_json(cell)
        except ValueError as error:
            message = PRINTED_MESSAGES if printed else f"is not a JSON object: {error}"
            raise UnreadableError(column, "broken_json", message) from None
    if not isinstance(cell, dict):
        raise UnreadableError(column, "not_text", f"is {short_repr(cell)}: expected an object")
    return cell


def read_number(column: str, cell: object) -> float | None:
    """The number in a cell; None if it is empty.

    Raises:
        UnreadableError: the cell holds something else.
    """
    if is_blank(cell) or (isinstance(cell, float) and math.isnan(cell)):
        return None
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UnreadableError(column, "not_a_number", f"is {short_repr(cell)}: expected a number")
    return number


def read_position(column: str, cell: object, positions: tuple[int, int] = (0, 1)) -> str | None:
    """The winner that a number names; None if the cell is empty.

    Args:
        column: for messages of errors.
        cell: the number.
        positions: the numbers that stand for response_a and response_b.

    Raises:
        UnreadableError: the cell holds something else.
    """
    number = 0.0 + cell if isinstance(cell, bool) else read_number(column, cell)
    if number is None:
        return None
    if number not in positions:
        expected = " or ".join(map(str, positions))
        raise UnreadableError(column, "unknown_winner", f"is {short_repr(cell)}: expected {expected}")
    return WINNERS[positions.index(int(number))]
