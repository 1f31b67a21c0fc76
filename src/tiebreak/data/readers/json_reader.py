"""Read JSON lines, or one JSON list, into rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, NamedTuple

from tiebreak.data.issues import Problem, Unit, severity_of, short_repr
from tiebreak.data.readers.decoding import decode, describe_decode_error
from tiebreak.data.readers.input_file import InputFile
from tiebreak.data.readers.json_list import read_items
from tiebreak.data.readers.limits import MAX_COLUMNS, MAX_NESTING, check_columns
from tiebreak.data.readers.table import Row, Table
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize

_LENIENT: Final = json.JSONDecoder(strict=False)
_BYTE_ORDER_MARK: Final = "\ufeff"
"""`json.loads` rejects it with a clear message, the decoder with an unclear one."""
_HELD_BYTES: Final = 64 * 2**20
"""Bytes of rows that are held in memory until all columns are known. A larger file is read twice instead."""


def parse_json(text: str) -> object:
    """Parse JSON. Raw control characters inside strings are accepted, since spreadsheets and scrapers leave them.

    Raises:
        ValueError: the text is not JSON, or nested more than `MAX_NESTING` levels deep; the message has the position in
            characters, counted from 1.
    """
    try:
        # The same as json.loads(text, strict=False), which builds a decoder in every call.
        value: object = json.loads(text) if text.startswith(_BYTE_ORDER_MARK) else _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except (RecursionError, ValueError) as error:
        raise _unreadable(error) from None
    if text.count("[") + text.count("{") > MAX_NESTING:
        _check_nesting(value)
    return value


def parse_json_item(text: str, start: int) -> tuple[object, int]:
    """Parse the JSON value that starts at a position; returns it and the position behind it.

    Raises:
        ValueError: as for `parse_json`; a `json.JSONDecodeError` if there is no complete value.
    """
    try:
        value, end = _LENIENT.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise _unreadable(error) from None
    if text.count("[", start, end) + text.count("{", start, end) > MAX_NESTING:
        _check_nesting(value)
    return value, end


def _unreadable(error: RecursionError | ValueError) -> ValueError:
    """The error for JSON that Python does not read; it reads integers of up to 4,300 digits."""
    return ValueError("nested too deeply" if isinstance(error, RecursionError) else "has an integer of too many digits")


def _check_nesting(value: object) -> None:
    """Refuse deep values here: what handles them later (`repr`, `json.dumps`) recurses."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_NESTING):
        children: list[Any] = []
        for container in level:
            children += container.values() if isinstance(container, dict) else container
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError("nested too deeply")


class _Item(NamedTuple):
    """A value, or the problem with it, its line or number, and its size in the file."""

    line: int
    value: object
    size: int


def read_json_lines(file: InputFile, columns: Collection[str]) -> Table:
    """The requested columns of a file of JSON lines, one object per line. Blank lines are skipped.

    The columns of the table are those of all rows together; a row may lack any of them.

    Raises:
        DataError: no line is a JSON object.
    """

    def read() -> Iterator[_Item]:
        for number, line in enumerate(file.lines(), 1):
            if not line.isspace():
                yield _Item(number, _parse_line(number, line), len(line))

    return _table(file, read, columns, "line")


def read_json_list(file: InputFile, columns: Collection[str]) -> Table:
    """The requested columns of one JSON list of objects; rows are counted from 1.

    Raises:
        DataError: the data is not a JSON list in UTF-8, or holds no object.
    """

    def read() -> Iterator[_Item]:
        items = read_items(file.name, file.chunks(), parse_json_item)
        return (_Item(number, value, size) for number, (value, size) in enumerate(items, 1))

    return _table(file, read, columns, "row")


def _parse_line(number: int, line: bytes) -> object:
    """The value on a line, or the problem with the line."""
    try:
        return parse_json(decode(line))
    except UnicodeDecodeError as error:
        message = f"holds bytes that are not UTF-8: {describe_decode_error(error)}"
        return Problem(number, "", "", "undecodable", message, severity_of("undecodable"))
    except ValueError as error:
        return Problem(number, "", "", "broken_json", f"is not JSON: {error}", severity_of("broken_json"))


def _table(file: InputFile, read: Callable[[], Iterator[_Item]], columns: Collection[str], unit: Unit) -> Table:
    """The rows, held from the first pass if they are few, or read in a second pass."""
    names: dict[str, None] = {}
    held: list[Row | Problem] = []
    held_bytes = count = 0
    first: Row | Problem | None = None
    if file.size > _HELD_BYTES:
        file.passes = 2
    for item in read():
        count += 1
        if isinstance(item.value, dict):
            names.update(dict.fromkeys(item.value))
            if len(names) > MAX_COLUMNS:
                check_columns(file.name, tuple(names))
        held_bytes += item.size
        row = _row(item, columns, unit)
        first = first or row
        if held_bytes <= _HELD_BYTES:
            held.append(row)
        else:
            held.clear()
            file.passes = 2
    if not names:
        shown = f" The first: {first}." if first else ""
        raise DataError(f"{file.name} holds no JSON object with columns, in {pluralize(count, 'row')}.{shown}")
    rows = held if file.passes == 1 else (_row(item, columns, unit) for item in read())
    return Table(check_columns(file.name, tuple(names)), rows, unit)


def _row(item: _Item, columns: Collection[str], unit: Unit) -> Row | Problem:
    if isinstance(item.value, dict):
        return Row(item.line, {column: item.value[column] for column in columns if column in item.value})
    if isinstance(item.value, Problem):
        return item.value
    message = f"is not a JSON object, but {short_repr(item.value)}"
    return Problem(item.line, "", "", "broken_json", message, severity_of("broken_json"), unit)
