"""Reading the cells of a benchmark's rows."""

from __future__ import annotations

from typing import Any

from tiebreak.data import UnreadableError, short_repr
from tiebreak.types import A_WINS, B_WINS, Comparison
from tiebreak.unicode import clean_text


def text(cells: dict[str, Any], column: str) -> str:
    """The text in a cell, unparsed: a text that looks like a list is still one text.

    Raises:
        UnreadableError: the cell holds no text.
    """
    cell = cells.get(column)
    if not isinstance(cell, str):
        raise UnreadableError(column, "not_text", f"is {short_repr(cell)}: expected a text")
    return clean_text(cell)


def texts(cells: dict[str, Any], column: str) -> tuple[str, ...]:
    """The texts in a cell that holds a list of them, at least one.

    Raises:
        UnreadableError: the cell holds no list of texts.
    """
    cell = cells.get(column)
    if not isinstance(cell, list) or not cell or not all(isinstance(item, str) for item in cell):
        raise UnreadableError(column, "not_text", f"is {short_repr(cell)}: expected a list of texts")
    return tuple(map(clean_text, cell))


def name(cells: dict[str, Any], column: str) -> str:
    """A short text or a number as a text; empty if there is none."""
    cell = cells.get(column)
    return "" if cell is None else str(cell)


def pair(cells: dict[str, Any], prompt: str, first: str, second: str, *, first_wins: bool, subset: str) -> Comparison:
    """A comparison of the texts in two columns.

    Raises:
        UnreadableError: a cell holds no text.
    """
    prompt_text, a, b = (text(cells, column) for column in (prompt, first, second))
    vote = A_WINS if first_wins else B_WINS
    return Comparison((prompt_text,), (a,), (b,), vote, name(cells, "id"), tags=(("source", subset),))
