"""Read a file of votes and check every row of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Final, NamedTuple

from tiebreak.data.cells import is_blank
from tiebreak.data.hash_index import HashIndex, digest
from tiebreak.data.issues import Problem, RowReport
from tiebreak.data.layouts import (
    MODEL_COLUMNS,
    TAG_COLUMNS,
    Layout,
    UnreadColumn,
    Votes,
    check_prompt,
    parse_chosen_rejected,
    parse_side_by_side,
)
from tiebreak.data.layouts.votes import BOTH_BAD_TAG, is_both_bad
from tiebreak.data.messages import ToolCalls
from tiebreak.data.readers.file_formats import Format
from tiebreak.data.readers.sources import open_table
from tiebreak.data.readers.table import Table
from tiebreak.data.recognition import columns_to_read, recognise
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison, Tags, Vote
from tiebreak.unicode import replace_invalid_characters

_SHOWN_ID: Final = 200
"""Characters of an id that problems with its row keep."""
_SHARED_TAG: Final = 200
"""Characters of the longest tag of those that are kept to be shared."""
_KNOWN_TAGS: Final = 100_000
"""Different tags that are kept to be shared; files have far fewer, unless each row has tags of its own."""


@dataclass(frozen=True)
class VoteFile:
    """The comparisons of a file and the problems in its rows.

    `comparisons` has one entry for every row that makes a comparison, including rows with empty texts and repeated
    ids. `lines[i]` is where `comparisons[i]` starts (see `Problem.line`). `rows` counts all rows, readable or not.
    """

    path: Path
    format: Format
    layout: Layout
    comparisons: tuple[Comparison, ...]
    lines: tuple[int, ...]
    problems: tuple[Problem, ...]
    rows: int
    integer_ids: bool
    """Whether the ids are whole numbers in the file, not texts."""
    unread_columns: tuple[UnreadColumn, ...] = ()
    """Columns that are ignored."""
    source_layout: str = ""
    """The layout of the file, if it is one that a converter reads; then `layout` is what it was turned into."""
    column_sources: dict[str, str] = field(default_factory=dict)
    """Tiebreak's columns that are read from a column of another name, and that name."""
    vote_source: str = ""
    """How the votes of another layout are read."""

    @property
    def layout_name(self) -> str:
        """The layout of the file itself."""
        return self.source_layout or self.layout


class CheckedRow(NamedTuple):
    """One row: its line, its comparison if it makes one, and the problems in it, in the order they were found."""

    line: int
    comparison: Comparison | None
    problems: tuple[Problem, ...]
    integer_id: bool = True
    """Whether the id is a whole number in the file, or missing."""


@dataclass(frozen=True)
class CheckedRows:
    """The comparisons of a table, the line of each, all problems in the order of the rows, and the number of rows.

    `integer_ids` is true if all ids are whole numbers and not texts, or if there are none, since row numbers then
    replace them.
    """

    layout: Layout
    comparisons: tuple[Comparison, ...]
    lines: tuple[int, ...]
    problems: tuple[Problem, ...]
    rows: int
    integer_ids: bool


def read_votes(
    path: str | os.PathLike[str],
    *,
    votes: Votes,
    columns: Mapping[str, str] | None = None,
    tool_calls: ToolCalls = "refuse",
) -> VoteFile:
    """Read a whole file of comparisons and report every problem in its rows.

    Args:
        path: ends in .csv, .jsonl, .json (a list, or lines) or .parquet; all except Parquet may be compressed
            (.csv.gz). Or the name of a data set, as in `parse_dataset_name`.
        votes: `required` for training and evaluation. With `optional` a file may have no columns of votes, and a row
            may have no vote; a vote that is present has to be valid.
        columns: Tiebreak's columns, and the file's columns that they are read from, if its layout is not recognised
            (see `tiebreak.data.column_mapping`).
        tool_calls: how tool calls in answers of messages are handled.

    Raises:
        DataError: the rows cannot be read, because the file is missing, damaged, empty or of unknown format, or
            because its columns are not those of a `Layout`.
    """
    path = Path(path)
    file_format, table = open_table(path, columns_to_read(columns))
    recognised = recognise(str(path), table, votes, columns)
    checked = check_rows(recognised.table, recognised.layout, votes, tool_calls)
    if not checked.rows:
        raise no_rows(path)
    check_prompt(str(path), recognised.table.columns, checked.problems, checked.rows)
    return VoteFile(
        path=path,
        format=file_format,
        layout=checked.layout,
        comparisons=checked.comparisons,
        lines=checked.lines,
        problems=checked.problems,
        rows=checked.rows,
        integer_ids=checked.integer_ids,
        unread_columns=recognised.unread,
        source_layout=recognised.source_layout if recognised.source_layout != recognised.layout else "",
        column_sources=recognised.sources,
        vote_source=recognised.votes,
    )


def no_rows(path: Path) -> DataError:
    """The error for a file without rows."""
    return DataError(f"{path} has column names but no rows: there is nothing to read in it.")


def check_rows(table: Table, layout: Layout, votes: Votes, tool_calls: ToolCalls = "refuse") -> CheckedRows:
    """Read all rows of a table. Problems in rows are collected, not raised.

    The returned layout is `soft` if it was `lmsys` and a vote is not one-hot. A row without an id gets its number,
    counted from 0.

    Raises:
        DataError: the file is damaged, which shows only while it is read.
    """
    comparisons: list[Comparison] = []
    lines: list[int] = []
    problems: list[Problem] = []
    rows = 0
    integer_ids = True
    for row in iterate_rows(table, layout, votes, tool_calls):
        rows += 1
        integer_ids &= row.integer_id
        problems += row.problems
        if row.comparison is not None:
            comparisons.append(row.comparison)
            lines.append(row.line)
    if layout == "lmsys" and any(is_soft(comparison.vote) for comparison in comparisons):
        layout = "soft"
    return CheckedRows(layout, tuple(comparisons), tuple(lines), tuple(problems), rows, integer_ids)


def is_soft(vote: Vote | None) -> bool:
    """Whether a vote is not that of one person."""
    return vote not in (A_WINS, B_WINS, TIE, None)


def iterate_rows(
    table: Table, layout: Layout, votes: Votes, tool_calls: ToolCalls = "refuse"
) -> Iterator[CheckedRow]:  # fmt: skip
    """Check the rows of a table one by one. Of the rows before it keeps a few numbers each. See `check_rows`."""
    first_lines = HashIndex()
    known_tags: dict[Tags, Tags] = {}  # equal tags share one object
    tag_columns = [column for column in TAG_COLUMNS if column in table.columns]
    if layout == "chosen-rejected":  # it is not known which side model_a would belong to
        tag_columns = [column for column in tag_columns if column not in MODEL_COLUMNS]
    for number, row in enumerate(table.rows):
        if isinstance(row, Problem):
            yield CheckedRow(row.line, None, (row,))
            continue
        report = RowReport(row.line, table.unit)
        row_id = str(number)
        integer_id = True
        if "id" in table.columns:
            integer_id = type(row.cells.get("id")) in (int, NoneType)  # bool is a subclass of int
            row_id = _read_id(row.cells.get("id"), row_id, report)
            first_line = first_lines.setdefault(digest(row_id), row.line)
            if first_line != row.line:
                report.add("id", "duplicate_id", f"was used before, on {table.unit} {first_line}")
        if layout == "chosen-rejected":
            comparison = parse_chosen_rejected(row.cells, row_id, report, tool_calls)
        else:
            comparison = parse_side_by_side(row.cells, layout, votes, row_id, report, tool_calls)
        if comparison is not None:
            tags: Tags = tuple((column, tag) for column in tag_columns if (tag := _read_tag(row.cells.get(column))))
            if layout == "winner" and is_both_bad(row.cells.get("winner")):
                tags = (*tags, (BOTH_BAD_TAG, "both bad"))
            if tags:
                if len(known_tags) > _KNOWN_TAGS:
                    known_tags.clear()
                if max(len(tag) for _, tag in tags) <= _SHARED_TAG:
                    tags = known_tags.setdefault(tags, tags)
                comparison = replace(comparison, tags=tags)
        yield CheckedRow(row.line, comparison, tuple(report.problems), integer_id)


def _read_tag(cell: object) -> str:
    """The text or number in a cell; empty for anything else, since an invalid tag does not make a row invalid."""
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:g}"
    return replace_invalid_characters(str(cell))[0].strip() if isinstance(cell, str | int) else ""


def _read_id(cell: object, row_number: str, report: RowReport) -> str:
    """The id in a cell, or the row number and a note. Whole floats lose their `.0`, as in CSV."""
    if isinstance(cell, float):
        cell = None if math.isnan(cell) else int(cell) if cell.is_integer() else cell
    text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    if is_blank(cell) or is_blank(text):
        report.id = row_number
        report.add("id", "missing_id", f"is empty: the row number, {row_number}, is used instead")
        return row_number
    row_id, count = replace_invalid_characters(text)
    report.id = row_id if len(row_id) <= _SHOWN_ID else f"{row_id[:_SHOWN_ID]}…"
    if count:
        report.add("id", "repaired_text", f"had {count} lone surrogates or NUL characters, now U+FFFD")
    return row_id
