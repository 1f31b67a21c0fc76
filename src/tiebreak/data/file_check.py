"""Check a file of votes in one pass, in memory that does not grow with its texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tiebreak.data.issues import Kind, Problem
from tiebreak.data.layouts import check_prompt
from tiebreak.data.messages import ToolCalls
from tiebreak.data.readers.input_file import OnProgress
from tiebreak.data.readers.sources import open_table
from tiebreak.data.recognition import columns_to_read, recognise
from tiebreak.data.row_statistics import RowStatistics
from tiebreak.data.summary import Summary, make_summary
from tiebreak.data.vote_file import iterate_rows, no_rows

_LISTED_PROBLEMS: Final = 1_000


@dataclass(frozen=True)
class FileCheck:
    """The summary of a file of votes and the problems in its rows."""

    summary: Summary
    problems: tuple[Problem, ...]
    """In the order of the rows; of each kind only the first 1,000. `Summary.problems` counts all."""
    unusable_rows: int
    """Rows with a problem that is not a note."""
    rows_with_notes: int

    @property
    def unlisted_problems(self) -> int:
        """The number of problems that are not in `problems`."""
        return sum(self.summary.problems.values()) - len(self.problems)


def check_file(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    tool_calls: ToolCalls = "refuse",
    on_progress: OnProgress | None = None,
) -> FileCheck:
    """Check every row of a file. Votes are required if the file has columns of votes.

    Args:
        path: see `read_votes`.
        columns: see `read_votes`.
        tool_calls: see `read_votes`.
        on_progress: called from time to time with the work done and the total.

    Raises:
        DataError: see `read_votes`.
    """
    file_format, table = open_table(path, columns_to_read(columns), on_progress=on_progress)
    recognised = recognise(str(path), table, "optional", columns)
    layout = recognised.layout
    statistics = RowStatistics()
    counts: Counter[Kind] = Counter()
    problems: list[Problem] = []
    rows = unusable = noted = 0
    for row in iterate_rows(recognised.table, layout, "optional" if layout == "unlabelled" else "required", tool_calls):
        rows += 1
        if row.comparison is not None:
            statistics.add(row.line, row.comparison)
        severities = {problem.severity for problem in row.problems}
        noted += "note" in severities
        unusable += not severities <= {"note"}
        for problem in row.problems:
            counts[problem.kind] += 1
            if counts[problem.kind] <= _LISTED_PROBLEMS:
                problems.append(problem)
    if not rows:
        raise no_rows(path)
    check_prompt(str(path), recognised.table.columns, problems, min(rows, _LISTED_PROBLEMS))
    if layout == "lmsys" and statistics.has_soft_votes:
        layout = "soft"
    summary = make_summary(
        statistics,
        path=str(path),
        format=file_format,
        layout=layout if recognised.source_layout == recognised.layout else recognised.source_layout,
        rows=rows,
        usable_rows=rows - unusable,
        problems=counts,
        unread_columns=recognised.unread,
        column_sources=recognised.sources,
        vote_source=recognised.votes,
    )
    return FileCheck(summary, tuple(problems), unusable, noted)
