"""From a file's own columns to a layout that Tiebreak reads: mapping, conversion, and the source of each column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tiebreak.data.column_mapping import check_mapping, check_mapping_is_read, map_table
from tiebreak.data.converters import CONVERTERS, Converter, convert_table, find_converter
from tiebreak.data.layouts import KNOWN_COLUMNS, Layout, Votes, read_columns, recognise_layout, unread_columns
from tiebreak.data.layouts.unread_columns import UnreadColumn
from tiebreak.data.readers.table import Table

READABLE_COLUMNS: Final = frozenset(KNOWN_COLUMNS).union(*(converter.columns for converter in CONVERTERS))
"""All columns that a layout reads."""


@dataclass(frozen=True)
class RecognisedTable:
    """A table with Tiebreak's own columns, and where they came from."""

    table: Table
    layout: Layout
    """The layout of `table`."""
    source_layout: str
    """The layout of the file; that of `table` if it has Tiebreak's own columns."""
    sources: dict[str, str]
    """Tiebreak's columns that are read from a column of another name, and that name."""
    votes: str
    """How the votes of another layout are read."""
    unread: tuple[UnreadColumn, ...]


def columns_to_read(mapping: Mapping[str, str] | None) -> frozenset[str]:
    """The columns of a file that may be needed, whatever its layout is."""
    return READABLE_COLUMNS.union((mapping or {}).values())


def recognise(
    name: str, table: Table, votes: Votes, mapping: Mapping[str, str] | None = None
) -> RecognisedTable:  # fmt: skip
    """Recognise the layout of a table by its columns, and turn it into one with Tiebreak's own columns.

    Args:
        name: of the file, for messages of errors.
        table: the columns of `columns_to_read`.
        votes: see `read_votes`.
        mapping: Tiebreak's columns, and the file's columns that they are read from.

    Raises:
        DataError: the columns are not those of a layout, or the mapping does not fit them.
    """
    columns = table.columns
    mapping = mapping or {}
    check_mapping(name, mapping, columns)
    sources = {target: column for target, column in mapping.items() if not target.startswith("winner.")}
    mapped = [column for column in columns if column not in sources.values()] + list(sources)
    converter = find_converter(name, mapped)
    if converter is None and mapping:  # a mapping may replace one column of a layout that is recognised without it
        converter = find_converter(name, columns) if not {"prompt", "response_a", "chosen"} & {*sources} else None
    if mapping:
        table = map_table(table, mapping, converter)
    if converter is None:
        layout = recognise_layout(name, table.columns, votes)
        check_mapping_is_read(name, mapping, layout, read_columns(layout), _winner_column(layout))
        return RecognisedTable(table, layout, layout, sources, "", unread_columns(table.columns, layout))
    check_mapping_is_read(name, mapping, converter.name, converter.mappable, _votes_of(converter))
    read = {**converter.reads, **sources}
    converted = convert_table(converter, table)
    layout = recognise_layout(name, converted.columns, votes)
    unread = tuple(UnreadColumn(c, "") for c in columns if c not in converter.columns and c not in sources.values())
    present = {target: column for target, column in read.items() if column in columns}
    return RecognisedTable(converted, layout, converter.name, present, converter.votes, unread)


def _winner_column(layout: Layout) -> str | None:
    """Where one of Tiebreak's own layouts has its votes."""
    return {"winner": "winner", "unlabelled": None, "chosen-rejected": "chosen and rejected"}.get(layout, "winner_*")


def _votes_of(converter: Converter) -> str:
    """Where a layout of another project has its votes."""
    default = "chosen and rejected" if "chosen" in converter.reads else "ranks or scores"
    return converter.reads.get("winner", default)
