"""Rows -> comparisons, and everything that is wrong with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import NoneType

from tiebreak.data.cells import is_blank
from tiebreak.data.chosen_rejected import parse_chosen_rejected
from tiebreak.data.issues import Problem
from tiebreak.data.layouts import MODELS, TAGS, Layout, Votes
from tiebreak.data.row_report import RowReport
from tiebreak.data.side_by_side import parse_side_by_side
from tiebreak.data.table import Table
from tiebreak.data.utf8 import repair
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison, Tags


@dataclass(frozen=True)
class Checked:
    """The comparisons that could be made, the line of each, the problems in the order of the rows, and the rows.

    `integer_ids`: all ids were whole numbers, and no texts; where there were none, the rows' numbers are.
    """

    layout: Layout
    comparisons: tuple[Comparison, ...]
    lines: tuple[int, ...]
    problems: tuple[Problem, ...]
    rows: int
    integer_ids: bool


def check_table(table: Table, layout: Layout, votes: Votes) -> Checked:
    """Reads a table to its end; what is wrong with a row is collected, never raised.

    `layout` comes back as `soft` if it was `lmsys` and a vote is not one-hot. A row without an id of its own gets
    its number, counted from 0.

    Raises:
        DataError: the file turned out to be damaged on the way.
    """
    comparisons: list[Comparison] = []
    lines: list[int] = []
    problems: list[Problem] = []
    first_seen: dict[str, int] = {}
    known_tags: dict[Tags, Tags] = {}
    # Which of chosen and rejected a model_a would be of, nobody can say.
    names = [name for name in TAGS if name in table.columns and not (layout == "chosen-rejected" and name in MODELS)]
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
            integer_ids &= type(row.cells.get("id")) in (int, NoneType)  # bool is an int too
            row_id = _identify(row.cells.get("id"), row_id, report)
            if first_seen.setdefault(row_id, row.line) != row.line:
                report.add("id", "duplicate_id", f"was used before, on {table.unit} {first_seen[row_id]}")
        if layout == "chosen-rejected":
            comparison = parse_chosen_rejected(row.cells, row_id, report)
        else:
            comparison = parse_side_by_side(row.cells, layout, votes, row_id, report)
        problems += report.problems
        if comparison is not None:
            tags = tuple((name, value) for name in names if (value := _tag(row.cells.get(name))))
            if tags:
                comparison = replace(comparison, tags=known_tags.setdefault(tags, tags))
            comparisons.append(comparison)
            lines.append(row.line)
    if layout == "lmsys" and any(comparison.vote not in (A_WINS, B_WINS, TIE, None) for comparison in comparisons):
        layout = "soft"
    return Checked(layout, tuple(comparisons), tuple(lines), tuple(problems), rows, integer_ids)


def _tag(cell: object) -> str:
    """The text or the number in a cell; nothing where it holds neither, for a tag is never worth refusing a row."""
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:g}"
    return repair(str(cell))[0].strip() if isinstance(cell, str | int) else ""


def _identify(cell: object, number: str, report: RowReport) -> str:
    """The id in a cell, or the row's number with a note. Whole floats lose their `.0`, as CSV would have them."""
    if isinstance(cell, float):
        cell = None if math.isnan(cell) else int(cell) if cell.is_integer() else cell
    text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    if is_blank(cell) or is_blank(text):
        report.id = number
        report.add("id", "missing_id", f"is empty: the number of the row, {number}, stands in")
    else:
        report.id, count = repair(text)
        if count:
            report.add("id", "repaired_text", f"had {count} lone surrogates or NUL characters, now U+FFFD")
    return report.id
