"""Which converter a file needs, and the rows that it makes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from tiebreak.data.converters.arena import ARENA
from tiebreak.data.converters.converter import KEPT, Converter
from tiebreak.data.converters.graded import HELPSTEER2, HELPSTEER3
from tiebreak.data.converters.numbered import PKU_SAFERLHF, SHP, SUMMARIES, WEBGPT
from tiebreak.data.converters.pairs import PAIRS
from tiebreak.data.converters.ranked import RANKED
from tiebreak.data.issues import Problem, UnreadableError, severity_of
from tiebreak.data.layouts import CHOSEN_REJECTED_COLUMNS, MARGIN_COLUMN, TAG_COLUMNS, TEXT_COLUMNS, is_native
from tiebreak.data.readers.table import Row, Table
from tiebreak.errors import DataError

CONVERTERS: Final[tuple[Converter, ...]] = (
    ARENA, HELPSTEER2, HELPSTEER3, PKU_SAFERLHF, SHP, SUMMARIES, WEBGPT, *PAIRS, *RANKED
)  # fmt: skip
"""The first one whose columns a file has is taken."""

_REFUSED: Final = (
    (
        {"prompt", "response", "helpfulness", "correctness"},
        "holds HelpSteer's ratings of single answers, no preferences. Use the set's preferences "
        "(preference/preference.jsonl.gz of HelpSteer2, or HelpSteer3).",
    ),
    (
        {"message_id", "parent_id", "text", "role"},
        "holds OpenAssistant's trees, one message in a row. Use a set of chosen and rejected answers made from them.",
    ),
    ({"kto_tag"}, "holds single answers with a tag, for KTO. A judge learns from two answers to a prompt."),
    (
        {"prompt", "completion", "label"},
        "holds single answers with a label, for KTO. A judge learns from two answers to a prompt.",
    ),
)
"""Columns of layouts that hold no comparisons, and what to do."""


def find_converter(name: str, columns: Collection[str]) -> Converter | None:
    """The converter of a file with these columns; None if it has Tiebreak's own columns, or unknown ones.

    Args:
        name: of the file, for messages of errors.
        columns: all columns of the file.

    Raises:
        DataError: the layout is known to hold no comparisons.
    """
    present = set(columns)
    if is_native(present):
        return None
    for converter in CONVERTERS:
        if converter.required <= present:
            return converter
    for marks, message in _REFUSED:
        if marks <= present and not present & {"chosen", "rejected"}:
            raise DataError(f"{name} {message}")
    return None


def convert_table(converter: Converter, table: Table) -> Table:
    """The table with Tiebreak's own columns. A row that is not understood becomes a `Problem`."""
    texts = CHOSEN_REJECTED_COLUMNS if "chosen" in converter.reads else TEXT_COLUMNS[1:]
    names = ["prompt", *texts, MARGIN_COLUMN, "weight", *TAG_COLUMNS]
    if converter.reads.get("winner") in table.columns or converter.makes_ids:
        names.append("winner")
    if converter.makes_ids or {"id", converter.reads.get("id")} & {*table.columns}:
        names.append("id")
    return Table(tuple(names), _rows(converter, table), table.unit)


def _rows(converter: Converter, table: Table) -> Iterator[Row | Problem]:
    for number, row in enumerate(table.rows):
        if isinstance(row, Problem):
            yield row
            continue
        kept = {name: row.cells[name] for name in KEPT if name in row.cells}
        try:
            for cells in converter.convert(row.cells, str(number)):
                yield Row(row.line, {**kept, **cells})
        except UnreadableError as error:
            row_id = str(row.cells.get("id", number))
            severity = severity_of(error.kind)
            yield Problem(row.line, row_id, error.column, error.kind, error.message, severity, table.unit)
