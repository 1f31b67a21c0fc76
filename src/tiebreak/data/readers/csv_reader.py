"""Read CSV into rows, each with the physical line on which it starts.

Cells are separated by commas; or by tabs or semicolons, if the row of column names has no comma.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final

from tiebreak.data.issues import Kind, Problem, severity_of
from tiebreak.data.readers.decoding import decode, describe_decode_error
from tiebreak.data.readers.limits import MAX_ROW_BYTES, check_columns, row_too_large
from tiebreak.data.readers.table import Row, Table
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize

_MAX_CELL_LENGTH: Final = 2**31 - 1
"""In characters; the largest limit that the csv module accepts on every platform."""


def read_csv(name: str, lines: Iterator[bytes], columns: Collection[str]) -> Table:
    """The requested columns of a CSV file.

    Args:
        name: of the file, for messages.
        lines: of the file, in UTF-8.
        columns: to read; others are ignored.

    Raises:
        DataError: there is no header, the header cannot be read, or it repeats a requested column; a row exceeds
            `MAX_ROW_BYTES`, also while the rows are iterated.
    """
    first_line = next(lines, b"")
    source = _Lines(name, chain([first_line] if first_line else [], lines))
    records = _records(source, _separator(first_line))
    first = next(records, None)
    if first is None:
        raise DataError(f"{name} is empty: a CSV file of votes starts with a line of column names.")
    line, header = first
    error = _record_error(source, line, header, column_count=None)
    if error is not None or isinstance(header, csv.Error):
        raise DataError(f"{name}, line {line}: the row of column names {error and error[1]}. Save it as CSV in UTF-8.")
    for column in columns:
        if header.count(column) > 1:
            raise DataError(f"{name} has {header.count(column)} columns named {column!r}: rename all but one.")
    return Table(check_columns(name, tuple(header)), _rows(source, records, header, columns), "line")


class _Lines:
    """Decoded lines for the csv module. Keeps the position and the errors, which the csv reader does not report."""

    def __init__(self, name: str, lines: Iterator[bytes]) -> None:
        self._name = name
        self._lines = lines
        self._start = 1
        self._record_bytes = 0
        self.number = 0
        self.exhausted = False
        self.decode_errors: dict[int, str] = {}

    def start_record(self) -> int:
        """The line on which the next record starts."""
        self._start = self.number + 1
        self._record_bytes = 0
        return self._start

    def __iter__(self) -> Iterator[str]:
        for data in self._lines:
            self.number += 1
            self._record_bytes += len(data)
            if self._record_bytes > MAX_ROW_BYTES:
                hint = 'If it is not that long, the closing " of a cell is missing.'
                raise row_too_large(self._name, f"line {self._start}", hint)
            try:
                yield decode(data)
            except UnicodeDecodeError as error:
                self.decode_errors[self.number] = describe_decode_error(error)
                yield data.decode(errors="replace")
        self.exhausted = True


def _separator(names: bytes) -> str:
    """What separates cells, by the line of column names."""
    return next((separator for separator in ",\t;" if separator.encode() in names), ",")


def _records(source: _Lines, separator: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """The line on which each record starts, and its cells or the error. Blank lines are skipped."""
    reader = csv.reader(iter(source), delimiter=separator)
    while True:
        start = source.start_record()
        limit = csv.field_size_limit(_MAX_CELL_LENGTH)  # a process-wide setting, restored after every record
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
    source: _Lines, records: Iterator[tuple[int, list[str] | csv.Error]], header: list[str], columns: Collection[str]
) -> Iterator[Row | Problem]:
    indices = [(column, index) for index, column in enumerate(header) if column in columns]
    for line, cells in records:
        error = _record_error(source, line, cells, len(header))
        if error is not None:
            kind, message = error
            yield Problem(line, "", "", kind, message, severity_of(kind))
        elif not isinstance(cells, csv.Error):
            yield Row(line, {column: cells[index] for column, index in indices})


def _record_error(
    source: _Lines, line: int, cells: list[str] | csv.Error, column_count: int | None
) -> tuple[Kind, str] | None:
    """Why a record cannot be used, or None."""
    if isinstance(cells, csv.Error):
        return "broken_csv", f"has a carriage return outside quotes, or worse: quote the cell it is in ({cells})"
    if source.exhausted:  # for a complete record the reader never asks for a line after the last one
        rest = pluralize(source.number - line + 1, "line")
        return "unclosed_quote", f'opens a " that is never closed: the rest of the file, {rest}, is in it'
    if source.decode_errors:
        number, reason = next(iter(source.decode_errors.items()))
        source.decode_errors.clear()
        return "undecodable", f"holds bytes that are not UTF-8: {reason} of line {number}"
    if column_count is not None and len(cells) != column_count:
        return "ragged_row", f"has {len(cells)} cells, but there are {column_count} columns"
    return None
