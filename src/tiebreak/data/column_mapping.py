"""A mapping of Tiebreak's columns to those of a file, for layouts that are not recognised.

`{"prompt": "question", "winner": "label", "winner.0": "model_a"}` reads the prompt from `question` and the vote from
`label`, where 0 stands for model_a.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from tiebreak.data.cells import is_blank
from tiebreak.data.converters import Converter
from tiebreak.data.issues import Problem, short_repr
from tiebreak.data.layouts import CHOSEN_REJECTED_COLUMNS, KNOWN_COLUMNS, TEXT_COLUMNS, WINNER_COLUMNS
from tiebreak.data.layouts.votes import winner_name
from tiebreak.data.readers.table import Row, Table
from tiebreak.errors import DataError

_WINNER_VALUE: Final = "winner."
_OUTCOMES: Final = ("model_a", "model_b", "tie")


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """A mapping from texts such as `prompt=question`.

    Raises:
        DataError: a text has another form, or names a column twice.
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, separator, column = pair.partition("=")
        if not separator or not name or not column:
            raise DataError(f"--map {pair}: expected COLUMN=COLUMN_OF_THE_FILE, such as prompt=question.")
        if name in mapping:
            raise DataError(f"--map gives {name} twice: {mapping[name]} and {column}. Give one.")
        mapping[name] = column
    return mapping


def check_mapping(name: str, mapping: Mapping[str, str], columns: Collection[str]) -> None:
    """Check that a mapping is from columns that Tiebreak reads to columns that the file has.

    Raises:
        DataError: it is not.
    """
    for target, column in mapping.items():
        if target.startswith(_WINNER_VALUE):
            if column not in _OUTCOMES:
                raise DataError(f"{name}: {target}={column}: expected one of {', '.join(_OUTCOMES)}.")
        elif target not in KNOWN_COLUMNS:
            raise DataError(f"{name}: {_unknown_target(target, column, columns)}")
        elif column not in columns:
            shown = ", ".join(map(repr, list(columns)[:30]))
            raise DataError(f"{name} has no column {column!r} for {target}. Its columns are {shown}.")
    sources = [column for target, column in mapping.items() if not target.startswith(_WINNER_VALUE)]
    repeated = next((column for column in sources if sources.count(column) > 1), None)
    if repeated is not None:
        targets = " and ".join(target for target, column in mapping.items() if column == repeated)
        raise DataError(f"{name}: {repeated!r} is mapped to {targets}. Map it to one of them.")


def check_mapping_is_read(
    name: str, mapping: Mapping[str, str], layout: str, readable: Collection[str], winner_column: str | None
) -> None:
    """Check that the layout of a file reads every column of a mapping, so that no part of it is ignored.

    Args:
        name: of the file, for messages of errors.
        mapping: checked by `check_mapping`.
        layout: that was recognised.
        readable: the columns that a mapping may give it.
        winner_column: where it reads its votes; None if it has none. Meanings of values are for `winner` alone.

    Raises:
        DataError: a part of the mapping would be ignored.
    """
    for target, column in mapping.items():
        pair = f"{target}={column}"
        if not target.startswith(_WINNER_VALUE):
            if target not in readable:
                raise DataError(f"{name}: {pair} has no effect: the layout {layout} does not use it. Leave it out.")
        elif winner_column is None:
            raise DataError(f"{name}: {pair} has no effect without a column of votes. Name it, as winner=COLUMN.")
        elif winner_column != "winner":
            raise DataError(
                f"{name}: {pair} has no effect: the layout {layout} reads its votes from {winner_column}. Leave "
                "it out, or map prompt, response_a, response_b and winner."
            )


def _unknown_target(target: str, column: str, columns: Collection[str]) -> str:
    """What to write instead of a mapping from a column that Tiebreak does not read."""
    known = f"{target} is no column that Tiebreak reads"
    if target in columns and column in KNOWN_COLUMNS:
        return f"{known}, but one of the file. Write {column}={target}: Tiebreak's column comes first."
    near = get_close_matches(target, KNOWN_COLUMNS, n=1)
    return f"{known}. Did you mean {near[0]}?" if near else f"{known}. It reads {', '.join(KNOWN_COLUMNS)}."


def map_table(table: Table, mapping: Mapping[str, str], converter: Converter | None) -> Table:
    """The table with the mapped columns under the names that the layout reads.

    Args:
        table: the file's own columns.
        mapping: checked by `check_mapping`.
        converter: of the layout that was recognised, in which a mapped column replaces the one that it reads.
    """
    read_as = {} if converter is None else converter.reads
    sources = {read_as.get(t, t): c for t, c in mapping.items() if not t.startswith(_WINNER_VALUE)}
    values = {t.removeprefix(_WINNER_VALUE): outcome for t, outcome in mapping.items() if t.startswith(_WINNER_VALUE)}
    replaced = _replaced(sources)
    left = [name for name in table.columns if name not in sources.values() and name not in replaced]
    names = dict.fromkeys([*left, *sources])
    return Table(tuple(names), _rows(table, sources, values, replaced), table.unit)


def _replaced(sources: Collection[str]) -> Collection[str]:
    """Columns of the file that would otherwise take precedence over mapped ones (see `recognise_layout`)."""
    if "winner" in sources and not {*WINNER_COLUMNS} & {*sources}:
        return WINNER_COLUMNS
    if {*CHOSEN_REJECTED_COLUMNS} <= {*sources} and not {*TEXT_COLUMNS[1:]} & {*sources}:
        return TEXT_COLUMNS[1:]
    return ()


def _rows(
    table: Table, sources: Mapping[str, str], values: Mapping[str, str], replaced: Collection[str]
) -> Iterator[Row | Problem]:
    values = {_value_text(value): outcome for value, outcome in values.items()}
    dropped = {*sources.values(), *replaced}
    for row in table.rows:
        if isinstance(row, Problem):
            yield row
            continue
        cells = {name: cell for name, cell in row.cells.items() if name not in dropped}
        cells |= {name: row.cells[column] for name, column in sources.items() if column in row.cells}
        text = _value_text(cells.get("winner"))
        if text in values:
            cells["winner"] = values[text]
        elif values and text not in ("", *_OUTCOMES):  # the default reading of 2 is B, but here it may be a tie
            message = f"is {short_repr(text)}, which the mapping does not name: add winner.{text[:20]}=..."
            row_id = str(cells.get("id", ""))
            yield Problem(row.line, row_id, "winner", "unknown_winner", message, "unreadable", table.unit)
            continue
        yield Row(row.line, cells)


def _value_text(cell: object) -> str:
    """A vote as it is written in a mapping: whole floats without `.0`; empty if there is none."""
    if is_blank(cell) or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return winner_name(cell) or str(cell).strip()
