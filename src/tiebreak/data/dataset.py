"""Load comparisons from files and data frames, with a policy for rows that have problems."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from tiebreak.data.issues import Problem, Severity
from tiebreak.data.layouts import (
    CHOSEN_REJECTED_COLUMNS,
    SYSTEM_COLUMN,
    TEXT_COLUMNS,
    UnreadColumn,
    Votes,
    check_prompt,
)
from tiebreak.data.messages import ToolCalls
from tiebreak.data.readers.table import Row, Table
from tiebreak.data.recognition import READABLE_COLUMNS, recognise
from tiebreak.data.vote_file import VoteFile, check_rows, read_votes
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.types import Comparison

if TYPE_CHECKING:
    import pandas as pd

ProblemRows = Literal["refuse", "skip", "keep"]
"""How rows with problems are handled.

- `refuse`: raise an error unless all rows are valid.
- `skip`: leave out unreadable rows, rows with an empty text and rows that repeat an id.
- `keep`: keep empty texts and repeated ids as they are; raise an error for unreadable rows.

Notes do not make a row invalid.
"""

_SHOWN: Final = 20
_REFUSED: Final[dict[ProblemRows, frozenset[Severity]]] = {
    "refuse": frozenset({"unreadable", "empty", "duplicate_id"}),
    "skip": frozenset(),
    "keep": frozenset({"unreadable"}),
}


def load_comparisons(
    path: str | os.PathLike[str],
    *,
    votes: Votes,
    problem_rows: ProblemRows = "refuse",
    columns: Mapping[str, str] | None = None,
    tool_calls: ToolCalls = "refuse",
    on_note: Callable[[str], None] | None = None,
) -> tuple[Comparison, ...]:
    """The comparisons of a file, in its order. See `load_votes`."""
    file = load_votes(
        path, votes=votes, problem_rows=problem_rows, columns=columns, tool_calls=tool_calls, on_note=on_note
    )
    return file.comparisons


def load_votes(
    path: str | os.PathLike[str],
    *,
    votes: Votes,
    problem_rows: ProblemRows = "refuse",
    columns: Mapping[str, str] | None = None,
    tool_calls: ToolCalls = "refuse",
    setting: str | None = "data.problem_rows=",
    on_note: Callable[[str], None] | None = None,
) -> VoteFile:
    """A file of votes without the rows that `problem_rows` leaves out.

    Args:
        path: see `read_votes`.
        votes: see `read_votes`.
        problem_rows: see `ProblemRows`.
        columns: see `read_votes`.
        tool_calls: see `read_votes`.
        setting: the text that users write before another value of `problem_rows`, for messages; None if they cannot
            change it.
        on_note: called with one line that says how many rows were left out or repaired and why, if there are any; and
            with `votes="required"` with one that names columns which look meant but are not read. Without it the lines
            are issued as Python warnings.

    Raises:
        DataError: the file cannot be read, rows have problems that `problem_rows` does not allow, or no row is left.
    """
    file = read_votes(path, votes=votes, columns=columns, tool_calls=tool_calls)
    kept = select_rows(file, problem_rows, setting=setting)
    notes = [_summary_line(str(path), file, file.rows - len(kept.comparisons))] if file.problems else []
    if votes == "required":
        notes += _unread_columns_line(str(path), file.unread_columns)
    for note in notes:
        if on_note is None:
            warnings.warn(note, stacklevel=2)
        else:
            on_note(note)
    return kept


def select_rows(file: VoteFile, problem_rows: ProblemRows, *, setting: str | None) -> VoteFile:
    """A file without the rows that `problem_rows` leaves out.

    Args:
        file: as `read_votes` gives it.
        problem_rows: see `ProblemRows`.
        setting: see `load_votes`.

    Raises:
        DataError: rows have problems that `problem_rows` does not allow, or no row is left.
    """
    _check_problems(str(file.path), file.problems, file.rows, problem_rows, setting)
    invalid = {problem.line for problem in file.problems if problem.severity != "note"}
    dropped = invalid if problem_rows == "skip" else set()
    kept = [(c, line) for c, line in zip(file.comparisons, file.lines, strict=True) if line not in dropped]
    if not kept:
        raise DataError(
            f"{file.path}: {pluralize(file.rows, 'row')}, and none without a problem; `tiebreak check {file.path}` "
            "lists them."
        )
    comparisons, lines = zip(*kept, strict=True)
    return replace(file, comparisons=comparisons, lines=lines)


def from_frame(frame: pd.DataFrame, *, votes: Votes = "optional") -> tuple[Comparison, ...]:
    """The comparisons in a data frame with the columns of a file; null, NaN and NA are empty cells.

    Numbers in columns of texts, which `pandas.read_csv` makes of a `7`, are converted to text.

    Raises:
        DataError: the columns are not those of a `Layout`, or rows have problems; the message has their positions, as
            in `frame.iloc`.
    """
    columns = tuple(map(str, frame.columns))
    for column in READABLE_COLUMNS:
        if columns.count(column) > 1:
            raise DataError(f"the data frame has {columns.count(column)} columns named {column!r}: rename all but one.")
    recognised = recognise("the data frame", Table(columns, _frame_rows(frame), "row"), votes)
    checked = check_rows(recognised.table, recognised.layout, votes)
    check_prompt("the data frame", recognised.table.columns, checked.problems, checked.rows)
    _check_problems("the data frame", checked.problems, checked.rows, None, None)
    if votes == "required":
        for line in _unread_columns_line("the data frame", recognised.unread):
            warnings.warn(line, stacklevel=2)
    return checked.comparisons


def _frame_rows(frame: pd.DataFrame) -> Iterator[Row]:
    columns = [column for column in frame.columns if column in READABLE_COLUMNS]
    texts = {*TEXT_COLUMNS, *CHOSEN_REJECTED_COLUMNS, SYSTEM_COLUMN}
    cells = ((_texts if column in texts else _cells)(frame[column]) for column in columns)
    for position, row in enumerate(zip(*cells, strict=True)):
        yield Row(position, dict(zip(columns, row, strict=True)))


def _cells(series: pd.Series[Any]) -> list[object]:
    """The values as Python objects: null as None, arrays (lists in Parquet, as pandas reads them) as lists."""
    values = map(_without_arrays, series.tolist())
    return [None if missing else value for value, missing in zip(values, series.isna(), strict=True)]


def _without_arrays(value: Any) -> Any:
    """A value with lists for arrays, also inside messages."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_without_arrays(item) for item in value]
    return {key: _without_arrays(item) for key, item in value.items()} if isinstance(value, dict) else value


def _texts(series: pd.Series[Any]) -> list[object]:
    """The values, with numbers as text. Whole floats, as in a column of integers with a gap, have no `.0`."""
    values = (int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in _cells(series))
    return [str(cell) if isinstance(cell, int | float) else cell for cell in values]


def _check_problems(
    name: str, problems: Sequence[Problem], rows: int, problem_rows: ProblemRows | None, setting: str | None
) -> None:
    """Raise the `DataError` that lists the first rows with problems that `problem_rows` does not allow, if any.

    `problem_rows` is None for a data frame, in which all rows have to be valid.
    """
    refused = [problem for problem in problems if problem.severity in _REFUSED[problem_rows or "refuse"]]
    if not refused:
        return
    lines = sorted({problem.line for problem in refused})
    listed = [f"  {problem}" for problem in refused if problem.line <= lines[:_SHOWN][-1]]
    if len(lines) > _SHOWN:
        listed.append(f"  and {pluralize(len(lines) - _SHOWN, 'row')} more")
    remedies = "Fix or drop these rows (counted from 0, as in iloc)."
    if problem_rows is not None:
        unreadable = len({problem.line for problem in refused if problem.severity == "unreadable"})
        remedies = f"`tiebreak check {name}` lists all of them. Fix the file"
        if setting is not None:
            remedies += f", or give {setting}skip to leave these rows out"
        if setting is not None and problem_rows == "refuse":
            remedies += f", or {setting}keep to keep empty texts and repeated ids as they are"
            remedies += f" ({pluralize(unreadable, 'unreadable row')} would still be refused)" if unreadable else ""
        remedies += "."
    total = f"{len(lines):,} of {pluralize(rows, 'row')} cannot be used as they are"
    raise DataError("\n".join((f"{name}: {total}:", *listed, remedies)))


def _unread_columns_line(name: str, columns: Sequence[UnreadColumn]) -> list[str]:
    """One line that names the columns which look meant and are not read; none without such columns."""
    meant = "; ".join(f"{column.name!r} ({column.hint})" for column in columns if column.hint)
    return [f"{name}: columns that are not read: {meant}"] if meant else []


def _summary_line(name: str, file: VoteFile, dropped: int) -> str:
    """The number of rows left out, and the number of problems of each kind, in one line."""
    counts = Counter(problem.kind for problem in file.problems)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    rows = pluralize(file.rows, "row")
    outcome = f"{dropped:,} of {rows} left out" if dropped else f"{rows}, all kept"
    return f"{name}: {outcome}; {kinds} (`tiebreak check {name}` lists them)"
