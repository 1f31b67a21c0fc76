"""JSON lines, or one JSON list -> rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from tiebreak.data.issues import Problem, Unit, severity_of, shown
from tiebreak.data.table import Row, Table
from tiebreak.data.utf8 import decode, undecodable
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize

_LENIENT: Final = json.JSONDecoder(strict=False)
_BYTE_ORDER_MARK: Final = "\ufeff"
"""json.loads refuses it with a message of its own, the decoder with one that says nothing."""


def parse_json(text: str) -> object:
    """JSON, with raw control characters let through inside its strings (spreadsheets and scrapers leave them).

    Raises:
        ValueError: it is not JSON; the message says where, in characters from 1.
    """
    try:
        # What json.loads does, which makes a decoder for every call that is not quite the default.
        return json.loads(text) if text.startswith(_BYTE_ORDER_MARK) else _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def json_lines_table(name: str, lines: Iterator[bytes], wanted: Collection[str]) -> Table:
    """The `wanted` columns of a file of JSON lines: one object a line, blank lines aside.

    The columns are those of all rows together; a row may lack any of them.

    Raises:
        DataError: no line is a JSON object.
    """
    return _table(name, ((number, _line(number, line)) for number, line in enumerate(lines, 1) if line.strip()), wanted)


def json_list_table(name: str, data: bytes, wanted: Collection[str]) -> Table:
    """The `wanted` columns of one JSON list of objects; rows are counted from 1.

    Raises:
        DataError: it is no JSON list in UTF-8, or holds no object.
    """
    try:
        values = parse_json(decode(data))
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8: {undecodable(error)}. Save it as UTF-8.") from error
    except ValueError as error:
        raise DataError(f"{name} is not a JSON list: {error}. Mend it, or write one JSON object a line.") from error
    assert isinstance(values, list), "the caller has seen the bracket"
    return _table(name, enumerate(values, 1), wanted, "row")


def _line(number: int, line: bytes) -> object:
    """The value on a line, or the problem with it."""
    try:
        return parse_json(decode(line))
    except UnicodeDecodeError as error:
        message = f"holds bytes that are not UTF-8: {undecodable(error)}"
        return Problem(number, "", "", "undecodable", message, severity_of("undecodable"))
    except ValueError as error:
        return Problem(number, "", "", "broken_json", f"is not JSON: {error}", severity_of("broken_json"))


def _table(name: str, values: Iterable[tuple[int, object]], wanted: Collection[str], unit: Unit = "line") -> Table:
    columns: dict[str, None] = {}
    rows: list[Row | Problem] = []
    for number, value in values:
        if isinstance(value, dict):
            columns.update(dict.fromkeys(value))
            rows.append(Row(number, {column: value[column] for column in wanted if column in value}))
        elif isinstance(value, Problem):
            rows.append(value)
        else:
            message = f"is not a JSON object, but {shown(value)}"
            rows.append(Problem(number, "", "", "broken_json", message, severity_of("broken_json"), unit))
    if not columns:
        first = f" The first: {rows[0]}." if rows else ""
        raise DataError(f"{name} holds no JSON object with columns in it, in {pluralize(len(rows), 'row')}.{first}")
    return Table(tuple(columns), rows, unit)
