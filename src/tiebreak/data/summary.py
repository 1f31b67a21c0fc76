"""Summary statistics of a file of votes: sizes, shares of outcomes, lengths, duplicates and contradictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tiebreak.data.issues import Kind
from tiebreak.data.layouts import UnreadColumn
from tiebreak.data.row_statistics import RowStatistics, TextLengths, Weights
from tiebreak.data.vote_file import VoteFile


@dataclass(frozen=True)
class Summary:
    """Summary statistics of a file of votes.

    Lines are those of `VoteFile.lines`. Unreadable rows count in `rows` and `problems` only.
    """

    path: str
    format: str
    layout: str
    rows: int
    usable_rows: int
    """Rows that `problem_rows=skip` keeps: readable, without empty texts or repeated ids."""
    shares: dict[str, float] | None
    """The mean vote per outcome; None if there are no votes."""
    margins: int
    """Rows whose vote has a margin above 0."""
    weights: Weights | None
    """None if all rows have weight 1."""
    prompt: TextLengths | None
    """None, like the next four fields, if no row is readable."""
    answers: TextLengths | None
    """The answers of both sides."""
    whole: TextLengths | None
    """Prompt and both answers together."""
    mean_length_difference: float | None
    """Mean absolute difference between the two answers, in characters."""
    multi_turn_share: float | None
    duplicate_groups: int
    """Sets of rows with the same prompt and the same two answers, in either order."""
    duplicate_rows: int
    """Rows in these sets."""
    contradictions: tuple[tuple[int, ...], ...]
    """The lines of each set of duplicates whose votes favour different outcomes."""
    identical_answers_with_winner: tuple[int, ...]
    """Lines of comparisons of an answer with itself whose vote is not a tie."""
    problems: dict[str, int]
    """Number of problems of each kind."""
    unread_columns: dict[str, str]
    """Columns that are ignored, each with what is read instead, or with an empty text."""
    column_sources: dict[str, str]
    """Tiebreak's columns that are read from a column of another name, and that name."""
    vote_source: str
    """How the votes of another layout are read; empty for Tiebreak's own columns."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, tuples and numbers, for `json.dumps`."""
        return asdict(self)


def summarise(file: VoteFile) -> Summary:
    """Compute the summary of a file."""
    statistics = RowStatistics()
    for line, comparison in zip(file.lines, file.comparisons, strict=True):
        statistics.add(line, comparison)
    return make_summary(
        statistics,
        path=str(file.path),
        format=file.format,
        layout=file.layout_name,
        rows=file.rows,
        usable_rows=file.rows - len({problem.line for problem in file.problems if problem.severity != "note"}),
        problems=Counter(problem.kind for problem in file.problems),
        unread_columns=file.unread_columns,
        column_sources=file.column_sources,
        vote_source=file.vote_source,
    )


def make_summary(
    statistics: RowStatistics,
    *,
    path: str,
    format: str,
    layout: str,
    rows: int,
    usable_rows: int,
    problems: Counter[Kind],
    unread_columns: Sequence[UnreadColumn],
    column_sources: dict[str, str],
    vote_source: str,
) -> Summary:
    """The summary of a file from the statistics of its comparisons and what else is known about it."""
    lengths = statistics.lengths()
    groups = statistics.duplicates()
    return Summary(
        path=path,
        format=format,
        layout=layout,
        rows=rows,
        usable_rows=usable_rows,
        shares=statistics.shares(),
        margins=statistics.margins,
        weights=statistics.weights(),
        prompt=lengths.prompt if lengths else None,
        answers=lengths.answers if lengths else None,
        whole=lengths.whole if lengths else None,
        mean_length_difference=lengths.mean_difference if lengths else None,
        multi_turn_share=lengths.multi_turn_share if lengths else None,
        duplicate_groups=len(groups),
        duplicate_rows=sum(len(group.lines) for group in groups),
        contradictions=tuple(group.lines for group in groups if group.contradictory),
        identical_answers_with_winner=tuple(statistics.identical_answers_with_winner),
        problems=dict(problems.most_common()),
        unread_columns={column.name: column.hint for column in unread_columns},
        column_sources=column_sources,
        vote_source=vote_source,
    )
