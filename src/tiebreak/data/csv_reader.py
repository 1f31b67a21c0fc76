"""CSV -> rows, each with the physical line it starts on."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from typing import Final

from tiebreak.data.issues import Kind, Problem, severity_of
from tiebreak.data.table import Row, Table
from tiebreak.data.utf8 import decode, undecodable
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize

_WIDEST_CELL: Final = 2**31 - 1
"""Characters; the largest limit that the csv module takes on every platform."""


def csv_table(name: str, lines: Iterator[bytes], wanted: Collection[str]) -> Table:
    """The `wanted` columns of a CSV file given as its lines of UTF-8.

    Raises:
        DataError: there is no header, it cannot be read, or it names a wanted column twice.
    """
    source = _Lines(lines)
    rows = _records(source)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{name} is empty: a CSV file of votes starts with a line of column names.")
    line, header = first
    broken = _broken(source, line, header, columns=None)
    if broken is not None or isinstance(header, csv.Error):
        raise DataError(
            f"{name}, line {line}: the row of column names {broken and broken[1]}. Save it as CSV in UTF-8."
        )
    for column in wanted:
        if header.count(column) > 1:
            raise DataError(f"{name} has {header.count(column)} columns named {column!r}: rename all but one.")
    return Table(tuple(header), _rows(source, rows, header, wanted), "line")


class _Lines:
    """Decoded lines for the csv module, which remembers what a reader in the middle of a row cannot say."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.number = 0
        self.exhausted = False
        self.undecodable: dict[int, str] = {}

    def __iter__(self) -> Iterator[str]:
        for data in self._lines:
            self.number += 1
            try:
                yield decode(data)
            except UnicodeDecodeError as error:
                self.undecodable[self.number] = undecodable(error)
                yield data.decode(errors="replace")
        self.exhausted = True


def _records(source: _Lines) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """The line each record starts on, and its cells or the reason why it has none. Blank lines are no records."""
    reader = csv.reader(iter(source))
    while True:
        start = source.number + 1
        limit = csv.field_size_limit(_WIDEST_CELL)  # a setting of the whole process: put back after every record
        try:
            cells: list[str] | csv.Error = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = error
        finally:
            csv.field_size_limit(limit)
        if cells:
            yield start, cells


def _rows(
    source: _Lines, records: Iterator[tuple[int, list[str] | csv.Error]], header: list[str], wanted: Collection[str]
) -> Iterator[Row | Problem]:
    places = [(column, place) for place, column in enumerate(header) if column in wanted]
    for line, cells in records:
        broken = _broken(source, line, cells, len(header))
        if broken is not None:
            kind, message = broken
            yield Problem(line, "", "", kind, message, severity_of(kind))
        elif not isinstance(cells, csv.Error):
            yield Row(line, {column: cells[place] for column, place in places})


def _broken(source: _Lines, line: int, cells: list[str] | csv.Error, columns: int | None) -> tuple[Kind, str] | None:
    """Why a record cannot be used at all, or None."""
    if isinstance(cells, csv.Error):
        return "broken_csv", f"has a carriage return outside quotes, or worse: quote the cell it is in ({cells})"
    if source.exhausted:  # a whole record never makes the reader ask for a line after the last one
        rest = pluralize(source.number - line + 1, "line")
        return "unclosed_quote", f'opens a " that is never closed: the rest of the file, {rest}, is in it'
    if source.undecodable:
        number, reason = next(iter(source.undecodable.items()))
        source.undecodable.clear()
        return "undecodable", f"holds bytes that are not UTF-8: {reason} of line {number}"
    if columns is not None and len(cells) != columns:
        return "ragged_row", f"has {len(cells)} cells, but there are {columns} columns"
    return None
