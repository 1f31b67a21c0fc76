"""A file of votes, read and checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tiebreak.data.issues import Problem
from tiebreak.data.layouts import KNOWN, Layout, Votes, recognise
from tiebreak.data.readers import Format, read_table
from tiebreak.data.row_checks import check_table
from tiebreak.errors import DataError
from tiebreak.types import Comparison


@dataclass(frozen=True)
class VoteFile:
    """What was found in a file.

    `comparisons` holds one for every row of which one could be made, those with empty texts and repeated ids too;
    `lines[i]` is where `comparisons[i]` starts (see `Problem.line`); `rows` counts all rows, readable or not.
    """

    path: Path
    format: Format
    layout: Layout
    comparisons: tuple[Comparison, ...]
    lines: tuple[int, ...]
    problems: tuple[Problem, ...]
    rows: int
    integer_ids: bool
    """Whether the ids were whole numbers in the file, and no texts."""


def read_votes(path: str | os.PathLike[str], *, votes: Votes) -> VoteFile:
    """Reads a file of comparisons whole, and says everything that is wrong with its rows.

    Args:
        path: ends in .csv, .jsonl, .json (a list, or lines) or .parquet; all but Parquet may be packed (.csv.gz).
        votes: `required` for training and evaluating. With `optional` a file may have no columns of votes, and a row
            may have none in it; a vote that is there has to be right even so.

    Raises:
        DataError: nothing can be said about rows, because the file is missing, damaged, empty or of unknown format,
            or because its columns are not those of a `Layout`.
    """
    path = Path(path)
    file_format, table = read_table(path, KNOWN)
    layout = recognise(str(path), table.columns, votes)
    checked = check_table(table, layout, votes)
    if not checked.rows:
        raise DataError(f"{path} has column names but no rows: there is nothing to read in it.")
    return VoteFile(
        path,
        file_format,
        checked.layout,
        checked.comparisons,
        checked.lines,
        checked.problems,
        checked.rows,
        checked.integer_ids,
    )
