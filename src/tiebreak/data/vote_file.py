"""Read a file of votes and check every row of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType

from tiebreak.data.cells import is_blank
from tiebreak.data.issues import Problem, RowReport
from tiebreak.data.layouts import (
    KNOWN_COLUMNS,
    MODEL_COLUMNS,
    TAG_COLUMNS,
    Layout,
    UnreadColumn,
    Votes,
    parse_chosen_rejected,
    parse_side_by_side,
    recognise_layout,
    unread_columns,
)
from tiebreak.data.readers import Format
from tiebreak.data.table import Table
from tiebreak.data.table_sources import open_table
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison, Tags
from tiebreak.unicode import replace_invalid_characters


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


def read_votes(path: str | os.PathLike[str], *, votes: Votes) -> VoteFile:
    """Read a whole file of comparisons and report every problem in its rows.

    Args:
        path: ends in .csv, .jsonl, .json (a list, or lines) or .parquet; all except Parquet may be compressed
            (.csv.gz). Or the name of a data set, as in `parse_dataset_name`.
        votes: `required` for training and evaluation. With `optional` a file may have no columns of votes, and a row
            may have no vote; a vote that is present has to be valid.

    Raises:
        DataError: the rows cannot be read, because the file is missing, damaged, empty or of unknown format, or
            because its columns are not those of a `Layout`.
    """
    path = Path(path)
    file_format, table = open_table(path, KNOWN_COLUMNS)
    checked = check_rows(table, recognise_layout(str(path), table.columns, votes), votes)
    if not checked.rows:
        raise DataError(f"{path} has column names but no rows: there is nothing to read in it.")
    return VoteFile(
        path=path,
        format=file_format,
        layout=checked.layout,
        comparisons=checked.comparisons,
        lines=checked.lines,
        problems=checked.problems,
        rows=checked.rows,
        integer_ids=checked.integer_ids,
        unread_columns=unread_columns(table.columns, checked.layout),
    )


def check_rows(table: Table, layout: Layout, votes: Votes) -> CheckedRows:
    """Read all rows of a table. Problems in rows are collected, not raised.

    The returned layout is `soft` if it was `lmsys` and a vote is not one-hot. A row without an id gets its number,
    counted from 0.

    Raises:
        DataError: the file is damaged, which shows only while it is read.
    """
    comparisons: list[Comparison] = []
    lines: list[int] = []
    problems: list[Problem] = []
    first_lines: dict[str, int] = {}
    known_tags: dict[Tags, Tags] = {}  # equal tags share one object
    tag_columns = [column for column in TAG_COLUMNS if column in table.columns]
    if layout == "chosen-rejected":  # it is not known which side model_a would belong to
        tag_columns = [column for column in tag_columns if column not in MODEL_COLUMNS]
    rows = 0
    integer_ids = True
    for row in table.rows:
        rows += 1
        if isinstance(row, Problem):
            problems.append(row)
            continue
        report = RowReport(row.line, table.unit)
        row_id = str(rows - 1)
        if "id" in table.columns:
            integer_ids &= type(row.cells.get("id")) in (int, NoneType)  # bool is a subclass of int
            row_id = _read_id(row.cells.get("id"), row_id, report)
            if first_lines.setdefault(row_id, row.line) != row.line:
                report.add("id", "duplicate_id", f"was used before, on {table.unit} {first_lines[row_id]}")
        if layout == "chosen-rejected":
            comparison = parse_chosen_rejected(row.cells, row_id, report)
        else:
            comparison = parse_side_by_side(row.cells, layout, votes, row_id, report)
        problems += report.problems
        if comparison is not None:
            tags = tuple((column, tag) for column in tag_columns if (tag := _read_tag(row.cells.get(column))))
            if tags:
                comparison = replace(comparison, tags=known_tags.setdefault(tags, tags))
            comparisons.append(comparison)
            lines.append(row.line)
    if layout == "lmsys" and any(comparison.vote not in (A_WINS, B_WINS, TIE, None) for comparison in comparisons):
        layout = "soft"
    return CheckedRows(layout, tuple(comparisons), tuple(lines), tuple(problems), rows, integer_ids)


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
    else:
        report.id, count = replace_invalid_characters(text)
        if count:
            report.add("id", "repaired_text", f"had {count} lone surrogates or NUL characters, now U+FFFD")
    return report.id
