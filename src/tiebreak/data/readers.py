"""A file -> a table, by the ending of its name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal

from tiebreak.data.csv_reader import csv_table
from tiebreak.data.json_reader import json_lines_table, json_list_table
from tiebreak.data.parquet_reader import parquet_table
from tiebreak.data.table import Table
from tiebreak.errors import DataError

Format = Literal["csv", "jsonl", "parquet"]

_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".json": "jsonl",
    ".json.gz": "jsonl",
    ".parquet": "parquet",
}
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


def read_table(path: Path, wanted: Collection[str]) -> tuple[Format, Table]:
    """The format of a file and its `wanted` columns.

    Raises:
        DataError: there is no such file, its format is unknown, or it cannot be read at all. A damaged file may
            raise later, while its rows are read.
    """
    ending = check_votes_path(path)
    table_format = _FORMATS[ending]
    if table_format == "parquet":
        return table_format, parquet_table(path, wanted)
    if table_format == "csv":
        return table_format, csv_table(str(path), _lines(path), wanted)
    if ending.startswith(".jsonl"):
        return table_format, json_lines_table(str(path), _lines(path), wanted)
    data = b"".join(_lines(path))
    if data.lstrip().startswith(b"["):
        return table_format, json_list_table(str(path), data, wanted)
    return table_format, json_lines_table(str(path), iter(data.split(b"\n")), wanted)


def check_votes_path(path: Path) -> str:
    """The known ending of a file that is there: what can be said early, before it is read.

    Raises:
        DataError: there is no such file, or its ending says no known format.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: name one file of votes in it.")
    if not path.exists():
        raise DataError(f"{path} does not exist: check the path; relative paths start at {Path.cwd()}.")
    ending = next((ending for ending in _FORMATS if path.name.lower().endswith(ending)), None)
    if ending is None:
        known = ", ".join(_FORMATS)
        raise DataError(f"{path} ends in {path.suffix!r}, which says no known format. Known endings: {known}.")
    return ending


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, unpacked if need be, without a UTF-8 byte order mark."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            first = file.readline()
            if first.startswith(_UTF16_MARKS):
                raise DataError(f"{path} is UTF-16: save it as UTF-8.")
            if first:
                yield first.removeprefix(_UTF8_MARK)
            yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
