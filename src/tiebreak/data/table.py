"""Rows as they lie in a file, before anyone knows what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tiebreak.data.issues import Problem, Unit


class Row(NamedTuple):
    """The cells of one row by column, and the line (or the number) that tells people where it is."""

    line: int
    cells: dict[str, object]


@dataclass(frozen=True)
class Table:
    """The columns of a file and its rows, to be read once; a problem stands for a row that could not be read."""

    columns: tuple[str, ...]
    rows: Iterable[Row | Problem]
    unit: Unit
