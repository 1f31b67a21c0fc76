"""Read a file into a table. The ending of its name decides the format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal

from tiebreak.data.readers.csv_reader import read_csv
from tiebreak.data.readers.input_file import InputFile, OnProgress, check_regular_file
from tiebreak.data.readers.json_reader import read_json_lines, read_json_list
from tiebreak.data.readers.parquet_reader import read_parquet
from tiebreak.data.readers.table import Table
from tiebreak.errors import DataError

Format = Literal["csv", "jsonl", "parquet", "dataset"]

_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
    ".tsv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".json": "jsonl",
    ".json.gz": "jsonl",
    ".parquet": "parquet",
}


def read_table(path: Path, columns: Collection[str], *, on_progress: OnProgress | None = None) -> tuple[Format, Table]:
    """The format of a file, and its rows with the requested columns. Rows are read while they are iterated.

    A `.json` file may hold a list or JSON lines; the Hugging Face hub has both.

    Args:
        path: of the file.
        columns: to read; others are ignored.
        on_progress: called from time to time while the file is read.

    Raises:
        DataError: there is no such file, its format is unknown, it exceeds one of the `limits`, or it cannot
            be read. A damaged file may raise later, while its rows are iterated.
    """
    ending = file_ending(path)
    table_format = _FORMATS[ending]
    if table_format == "parquet":
        return table_format, read_parquet(path, columns, on_progress)
    file = InputFile(path, on_progress)
    if table_format == "csv":
        return table_format, read_csv(file.name, file.lines(), columns)
    if ending.startswith(".jsonl") or file.first_visible_byte() != b"[":
        return table_format, read_json_lines(file, columns)
    return table_format, read_json_list(file, columns)


def file_ending(path: Path) -> str:
    """The known ending of the name of an existing file: a check to make before other work starts.

    Raises:
        DataError: there is no such file, it is empty or no regular file, or its ending is not that of a known format.
    """
    check_regular_file(path)
    ending = next((ending for ending in _FORMATS if path.name.lower().endswith(ending)), None)
    if ending is None:
        known = ", ".join(_FORMATS)
        raise DataError(f"{path} ends in {path.suffix!r}, which is not a known format. Known endings: {known}.")
    return ending
