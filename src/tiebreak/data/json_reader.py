"""Read JSON lines, or one JSON list, into rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from tiebreak.data.decoding import decode, describe_decode_error
from tiebreak.data.issues import Problem, Unit, severity_of, short_repr
from tiebreak.data.table import Row, Table
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize

_LENIENT: Final = json.JSONDecoder(strict=False)
_BYTE_ORDER_MARK: Final = "\ufeff"
"""`json.loads` rejects it with a clear message, the decoder with an unclear one."""


def parse_json(text: str) -> object:
    """Parse JSON. Raw control characters inside strings are accepted, since spreadsheets and scrapers leave them.

    Raises:
        ValueError: the text is not JSON; the message has the position in characters, counted from 1.
    """
    try:
        # The same as json.loads(text, strict=False), which builds a decoder in every call.
        return json.loads(text) if text.startswith(_BYTE_ORDER_MARK) else _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_json_lines(name: str, lines: Iterator[bytes], columns: Collection[str]) -> Table:
    """The requested columns of a file of JSON lines, one object per line. Blank lines are skipped.

    The columns of the table are those of all rows together; a row may lack any of them.

    Raises:
        DataError: no line is a JSON object.
    """
    values = ((number, _parse_line(number, line)) for number, line in enumerate(lines, 1) if line.strip())
    return _table(name, values, columns, "line")


def read_json_list(name: str, data: bytes, columns: Collection[str]) -> Table:
    """The requested columns of one JSON list of objects; rows are counted from 1.

    Raises:
        DataError: the data is not a JSON list in UTF-8, or holds no object.
    """
    try:
        values = parse_json(decode(data))
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8: {describe_decode_error(error)}. Save it as UTF-8.") from error
    except ValueError as error:
        raise DataError(f"{name} is not a JSON list: {error}. Fix it, or write one JSON object per line.") from error
    assert isinstance(values, list), "the caller has checked for the bracket"
    return _table(name, enumerate(values, 1), columns, "row")


def _parse_line(number: int, line: bytes) -> object:
    """The value on a line, or the problem with the line."""
    try:
        return parse_json(decode(line))
    except UnicodeDecodeError as error:
        message = f"holds bytes that are not UTF-8: {describe_decode_error(error)}"
        return Problem(number, "", "", "undecodable", message, severity_of("undecodable"))
    except ValueError as error:
        return Problem(number, "", "", "broken_json", f"is not JSON: {error}", severity_of("broken_json"))


def _table(name: str, values: Iterable[tuple[int, object]], columns: Collection[str], unit: Unit) -> Table:
    names: dict[str, None] = {}
    rows: list[Row | Problem] = []
    for number, value in values:
        if isinstance(value, dict):
            names.update(dict.fromkeys(value))
            rows.append(Row(number, {column: value[column] for column in columns if column in value}))
        elif isinstance(value, Problem):
            rows.append(value)
        else:
            message = f"is not a JSON object, but {short_repr(value)}"
            rows.append(Problem(number, "", "", "broken_json", message, severity_of("broken_json"), unit))
    if not names:
        first = f" The first: {rows[0]}." if rows else ""
        raise DataError(f"{name} holds no JSON object with columns, in {pluralize(len(rows), 'row')}.{first}")
    return Table(tuple(names), rows, unit)
