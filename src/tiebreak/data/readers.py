"""Read a file into a table. The ending of its name decides the format."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tiebreak.data.csv_reader import read_csv
from tiebreak.data.json_reader import read_json_lines, read_json_list
from tiebreak.data.table import Row, Table
from tiebreak.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Format = Literal["csv", "jsonl", "parquet", "dataset"]

_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".json": "jsonl",
    ".json.gz": "jsonl",
    ".parquet": "parquet",
}
_UTF8_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF16_BYTE_ORDER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


def read_table(path: Path, columns: Collection[str]) -> tuple[Format, Table]:
    """The format of a file, and its rows with the requested columns.

    A `.json` file may hold a list or JSON lines; the Hugging Face hub has both.

    Raises:
        DataError: there is no such file, its format is unknown, or it cannot be read. A damaged file may raise later,
            while its rows are iterated.
    """
    ending = file_ending(path)
    table_format = _FORMATS[ending]
    if table_format == "parquet":
        return table_format, _read_parquet(path, columns)
    if table_format == "csv":
        return table_format, read_csv(str(path), _lines(path), columns)
    if ending.startswith(".jsonl"):
        return table_format, read_json_lines(str(path), _lines(path), columns)
    data = b"".join(_lines(path))
    if data.lstrip().startswith(b"["):
        return table_format, read_json_list(str(path), data, columns)
    return table_format, read_json_lines(str(path), iter(data.split(b"\n")), columns)


def file_ending(path: Path) -> str:
    """The known ending of the name of an existing file: a check to make before other work starts.

    Raises:
        DataError: there is no such file, or its ending is not that of a known format.
    """
    if path.is_dir():
        raise DataError(
            f"{path} is a folder: name one file of votes in it. A folder with a README.md, as the data sets of the hub "
            "have, is read as a data set."
        )
    if not path.exists():
        raise DataError(
            f"{path} does not exist: check the path; relative paths start at {Path.cwd()}.{near_names(path)}"
        )
    ending = next((ending for ending in _FORMATS if path.name.lower().endswith(ending)), None)
    if ending is None:
        known = ", ".join(_FORMATS)
        raise DataError(f"{path} ends in {path.suffix!r}, which is not a known format. Known endings: {known}.")
    return ending


def near_names(path: Path) -> str:
    """The names in the folder of a missing file that are most like its own, in a sentence; empty if there are none."""
    try:
        names = sorted(found.name for found in path.parent.iterdir())
    except OSError:  # no such folder
        return ""
    close = get_close_matches(path.name, names, n=3)
    return f" Names like it in {path.parent.absolute()}: {', '.join(close)}." if close else ""


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed if necessary, without a UTF-8 byte order mark."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            first = file.readline()
            if first.startswith(_UTF16_BYTE_ORDER_MARKS):
                raise DataError(f"{path} is UTF-16: save it as UTF-8.")
            if first:
                yield first.removeprefix(_UTF8_BYTE_ORDER_MARK)
            yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _read_parquet(path: Path, columns: Collection[str]) -> Table:
    """The requested columns of a Parquet file; rows are counted from 1.

    A cell that is not UTF-8 holds its `UnicodeDecodeError`.

    Raises:
        DataError: the file is damaged or not Parquet; also while the rows are iterated.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    names = tuple(file.schema_arrow.names)
    return Table(names, _parquet_rows(path, file, [name for name in names if name in columns]), "row")


def _parquet_rows(path: Path, file: pq.ParquetFile, columns: list[str]) -> Iterator[Row]:
    import pyarrow as pa

    number = 0
    with file:
        batches = file.iter_batches(batch_size=1024, columns=columns)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path} is damaged after row {number}: {error}") from error
            if batch is None:
                return
            for cells in zip(*(_arrow_cells(column) for column in batch.columns), strict=True):
                number += 1
                yield Row(number, dict(zip(batch.schema.names, cells, strict=True)))


def _arrow_cells(column: Any) -> list[object]:
    """The values of an Arrow array: all at once if possible, one by one if a text in it is not UTF-8."""
    try:
        values: list[object] = column.to_pylist()
    except UnicodeDecodeError:
        return [_arrow_cell(scalar) for scalar in column]
    return values


def _arrow_cell(scalar: Any) -> object:
    try:
        value: object = scalar.as_py()
    except UnicodeDecodeError as error:
        return error
    return value
