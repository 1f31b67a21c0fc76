"""The rows of a file as they are stored, before a layout interprets their cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tiebreak.data.issues import Problem, Unit


class Row(NamedTuple):
    """The cells of one row by column, and its line number (or row number) for messages."""

    line: int
    cells: dict[str, object]


@dataclass(frozen=True)
class Table:
    """The columns of a file and its rows. `rows` can be iterated once; a row that cannot be read is a `Problem`."""

    columns: tuple[str, ...]
    rows: Iterable[Row | Problem]
    unit: Unit
