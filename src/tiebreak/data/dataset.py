"""Comparisons to work with: what becomes of the rows that have problems."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from tiebreak.data.issues import Problem, Severity
from tiebreak.data.layouts import ANSWERS, KNOWN, PAIR, Votes, recognise
from tiebreak.data.row_checks import check_table
from tiebreak.data.table import Row, Table
from tiebreak.data.vote_file import VoteFile, read_votes
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.types import Comparison

if TYPE_CHECKING:
    import pandas as pd

ProblemRows = Literal["refuse", "skip", "keep"]
"""What becomes of rows with problems.

- `refuse`: nothing is loaded until every row is right.
- `skip`: unreadable rows, rows with an empty text and rows that repeat an id are left out.
- `keep`: empty texts and repeated ids stay as they are; unreadable rows are refused.

Notes never stand in the way.
"""

_SHOWN: Final = 20
_STOPPERS: Final[dict[ProblemRows, frozenset[Severity]]] = {
    "refuse": frozenset({"unreadable", "empty", "duplicate_id"}),
    "skip": frozenset(),
    "keep": frozenset({"unreadable"}),
}


def load_comparisons(
    path: str | os.PathLike[str],
    *,
    votes: Votes,
    problem_rows: ProblemRows = "refuse",
    on_note: Callable[[str], None] | None = None,
) -> tuple[Comparison, ...]:
    """The comparisons of a file, in its order: those of `load_votes`, which see."""
    return load_votes(path, votes=votes, problem_rows=problem_rows, on_note=on_note).comparisons


def load_votes(
    path: str | os.PathLike[str],
    *,
    votes: Votes,
    problem_rows: ProblemRows = "refuse",
    setting: str | None = "data.problem_rows=",
    on_note: Callable[[str], None] | None = None,
) -> VoteFile:
    """A file of votes with the comparisons to work with, in its order.

    Args:
        path: see `read_votes`.
        votes: see `read_votes`.
        problem_rows: see `ProblemRows`.
        setting: what people write in front of another value of `problem_rows`; None where they cannot.
        on_note: told, in one line, how many rows were left out or repaired and why, if any were. Without it the line
            becomes a Python warning: no row is left out in silence.

    Raises:
        DataError: the file cannot be read, rows have problems that `problem_rows` does not allow, or none is left.
    """
    file = read_votes(path, votes=votes)
    _refuse(str(path), file.problems, file.rows, problem_rows, setting)
    bad = {problem.line for problem in file.problems if problem.severity != "note"}
    dropped = bad if problem_rows == "skip" else set()
    kept = [(c, line) for c, line in zip(file.comparisons, file.lines, strict=True) if line not in dropped]
    if not kept:
        raise DataError(
            f"{path}: {pluralize(file.rows, 'row')}, and none without a problem; `tiebreak check {path}` shows them."
        )
    if file.problems:
        note = _note(str(path), file, len(dropped))
        if on_note is None:
            warnings.warn(note, stacklevel=2)
        else:
            on_note(note)
    comparisons, lines = zip(*kept, strict=True)
    return replace(file, comparisons=comparisons, lines=lines)


def from_frame(frame: pd.DataFrame, *, votes: Votes = "optional") -> tuple[Comparison, ...]:
    """The comparisons in a data frame, which has the columns of a file; null, NaN and NA are empty cells.

    Numbers in the place of texts, which pandas makes of a CSV file's `7`, are taken as their texts.

    Raises:
        DataError: the columns are not those of a `Layout`, or rows have problems; they are named by their position,
            as in `frame.iloc`.
    """
    columns = tuple(map(str, frame.columns))
    for column in KNOWN:
        if columns.count(column) > 1:
            raise DataError(f"the data frame has {columns.count(column)} columns named {column!r}: rename all but one.")
    layout = recognise("the data frame", columns, votes)
    checked = check_table(Table(columns, _frame_rows(frame), "row"), layout, votes)
    _refuse("the data frame", checked.problems, checked.rows, None, None)
    return checked.comparisons


def _frame_rows(frame: pd.DataFrame) -> Iterator[Row]:
    columns = [column for column in frame.columns if column in KNOWN]
    cells = (_texts(frame[column]) if column in (*ANSWERS, *PAIR) else _cells(frame[column]) for column in columns)
    for position, row in enumerate(zip(*cells, strict=True)):
        yield Row(position, dict(zip(columns, row, strict=True)))


def _cells(series: pd.Series[Any]) -> list[object]:
    """The values as plain Python objects: null as None, arrays (lists in Parquet, read by pandas) as lists."""
    values = (value.tolist() if hasattr(value, "tolist") else value for value in series.tolist())
    return [None if missing else value for value, missing in zip(values, series.isna(), strict=True)]


def _texts(series: pd.Series[Any]) -> list[object]:
    """The values, numbers as their texts: whole floats, as a column of numbers with a gap has them, without `.0`."""
    values = (int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in _cells(series))
    return [str(cell) if isinstance(cell, int | float) else cell for cell in values]


def _refuse(
    name: str, problems: Sequence[Problem], rows: int, problem_rows: ProblemRows | None, setting: str | None
) -> None:
    """Raises the `DataError` that lists the first rows with problems, unless there are none that matter.

    Without `problem_rows` every row has to be right, and the remedies are those of a data frame.
    """
    stoppers = [problem for problem in problems if problem.severity in _STOPPERS[problem_rows or "refuse"]]
    if not stoppers:
        return
    places = sorted({problem.line for problem in stoppers})
    listed = [f"  {problem}" for problem in stoppers if problem.line <= places[:_SHOWN][-1]]
    if len(places) > _SHOWN:
        listed.append(f"  and {pluralize(len(places) - _SHOWN, 'row')} more")
    remedies = "Mend or drop these rows (counted from 0, as in iloc)."
    if problem_rows is not None:
        unreadable = len({problem.line for problem in stoppers if problem.severity == "unreadable"})
        remedies = f"`tiebreak check {name}` shows all of them. Mend the file"
        if setting is not None:
            remedies += f", or give {setting}skip to leave such rows out"
        if setting is not None and problem_rows == "refuse":
            remedies += f", or {setting}keep to keep empty texts and repeated ids as they are"
            remedies += f" ({pluralize(unreadable, 'unreadable row')} would stay refused)" if unreadable else ""
        remedies += "."
    total = f"{len(places):,} of {pluralize(rows, 'row')} cannot be used as they are"
    raise DataError("\n".join((f"{name}: {total}:", *listed, remedies)))


def _note(name: str, file: VoteFile, dropped: int) -> str:
    """One line: how many rows were left out, and how often each kind of problem was met."""
    counts = Counter(problem.kind for problem in file.problems)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    done = (
        f"{dropped:,} of {pluralize(file.rows, 'row')} left out"
        if dropped
        else f"{pluralize(file.rows, 'row')}, all kept"
    )
    return f"{name}: {done}; {kinds} (`tiebreak check {name}` shows them)"
