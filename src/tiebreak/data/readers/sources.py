"""Open what a user names as votes, a file or a data set, as a table."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tiebreak.data.readers.file_formats import Format, file_ending, read_table
from tiebreak.data.readers.hub_dataset import check_library, read_dataset
from tiebreak.data.readers.input_file import OnProgress
from tiebreak.data.readers.table import Table
from tiebreak.dataset_names import parse_dataset_name


def open_table(
    path: Path, columns: Collection[str], *, on_progress: OnProgress | None = None
) -> tuple[Format, Table]:  # fmt: skip
    """The format of a file or data set, and its rows with the requested columns.

    Args:
        path: a file, or the name of a data set as `parse_dataset_name` reads it.
        columns: the columns to read; the table names all others too.
        on_progress: called while a file is read, with the work done and the total.

    Raises:
        DataError: as `read_table` and `read_dataset` do.
        TiebreakError: `path` names a data set, and the library to read it with is not installed.
    """
    name = parse_dataset_name(str(path))
    return (
        read_table(path, columns, on_progress=on_progress) if name is None else ("dataset", read_dataset(name, columns))
    )


def check_votes_path(path: Path) -> None:
    """A check to make before other work starts: a file exists and has a known ending, or a data set can be read at all.

    Raises:
        DataError: there is no such file, or its ending is not that of a known format.
        TiebreakError: as in `open_table`.
    """
    if parse_dataset_name(str(path)) is None:
        file_ending(path)
    else:
        check_library()
