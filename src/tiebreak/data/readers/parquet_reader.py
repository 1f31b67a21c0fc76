"""Read Parquet into rows, in batches whose texts fit into the limit of one row each.

A few bytes of Parquet may stand for gigabytes: a dictionary holds a long text once for a million rows, and a page of
zeros compresses well. Texts are therefore read as dictionaries, measured, and only then taken out, a few rows at a
time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tiebreak.data.readers.input_file import OnProgress, check_regular_file
from tiebreak.data.readers.limits import (
    MAX_FOOTER_BYTES,
    MAX_PAGE_BYTES,
    MAX_ROW_BYTES,
    check_columns,
    check_ratio,
    row_too_large,
)
from tiebreak.data.readers.parquet_metadata import column_chunks, page_sizes, read_footer
from tiebreak.data.readers.table import Row, Table
from tiebreak.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH: Final = 1024
_DELTA_BATCH: Final = 16
"""Rows at a time if texts are stored as differences to the text before, which pyarrow does not read as dictionaries."""
_THRIFT_STRING_BYTES: Final = 64 * 2**20
_THRIFT_ITEMS: Final = 10_000_000
_REMEDY: Final = "write it as JSON lines"


def read_parquet(path: Path, columns: Collection[str], on_progress: OnProgress | None = None) -> Table:
    """The requested columns of a Parquet file; rows are counted from 1.

    A cell that is not UTF-8 holds its `UnicodeDecodeError`.

    Raises:
        DataError: the file is damaged, not Parquet, or exceeds one of the `limits`; also while the rows are
            iterated.
    """
    import pyarrow as pa

    try:
        with _open(path) as file:
            names = tuple(file.schema_arrow.names)
            read = [name for name in names if name in columns]
            texts = _check_pages(path, file, read)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    for name in read:
        if names.count(name) > 1:
            raise DataError(f"{path} has {names.count(name)} columns named {name!r}: rename all but one.")
    return Table(check_columns(str(path), names), _rows(path, read, texts, on_progress), "row")


def _open(path: Path, texts: Collection[str] = ()) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        path,
        read_dictionary=sorted(texts),
        thrift_string_size_limit=_THRIFT_STRING_BYTES,
        thrift_container_size_limit=_THRIFT_ITEMS,
    )


def _check_pages(path: Path, file: pq.ParquetFile, columns: Collection[str]) -> dict[str, bool]:
    """The paths of the stored columns of texts, and whether each is stored as differences.

    Raises:
        DataError: a page of the requested columns decompresses to too much.
        ValueError: the metadata are damaged.
    """
    size = check_regular_file(path)
    schema = [file.schema.column(i) for i in range(len(file.schema))]
    leaves = {i: column.path for i, column in enumerate(schema) if column.path.split(".")[0] in columns}
    texts = {
        path: False
        for i, path in leaves.items()
        if schema[i].physical_type == "BYTE_ARRAY" and schema[i].logical_type.type in ("STRING", "NONE", "JSON")
    }
    with path.open("rb") as raw:
        for chunk in column_chunks(read_footer(raw, size, MAX_FOOTER_BYTES)):
            if chunk.leaf not in leaves:
                continue
            if chunk.is_delta and leaves[chunk.leaf] in texts:
                texts[leaves[chunk.leaf]] = True
            for unpacked in page_sizes(raw, chunk):
                check_ratio(str(path), unpacked, size, _REMEDY)
                if not 0 <= unpacked <= MAX_PAGE_BYTES:
                    raise DataError(
                        f"{path} has a page of {unpacked:,} bytes; up to {MAX_PAGE_BYTES:,} are read: {_REMEDY}."
                    )
    return texts


def _rows(path: Path, columns: list[str], texts: dict[str, bool], on_progress: OnProgress | None) -> Iterator[Row]:
    import pyarrow as pa

    size = check_regular_file(path)
    number = unpacked = 0
    try:
        with _open(path, [text for text, is_delta in texts.items() if not is_delta]) as file:
            total = file.metadata.num_rows
            for batch in file.iter_batches(batch_size=_DELTA_BATCH if any(texts.values()) else _BATCH, columns=columns):
                unpacked += sum(map(_size, batch.columns))
                check_ratio(str(path), unpacked, size, _REMEDY)
                for part in _parts(str(path), batch, number):
                    cells = [_cells(column) for column in part.columns]
                    for row in zip(*cells, strict=True):
                        number += 1
                        yield Row(number, dict(zip(batch.schema.names, row, strict=True)))
                if on_progress is not None:
                    on_progress(number, total)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} cannot be read after row {number}: {error}") from error
    if number != total and columns:
        raise DataError(f"{path} is damaged: its metadata count {total:,} rows, but it holds {number:,}.")


def _parts(name: str, batch: Any, before: int) -> Iterator[Any]:
    """A batch in parts whose values fit into the limit of a row; `before` is the number of the row before it."""
    if sum(map(_size, batch.columns)) <= MAX_ROW_BYTES:
        yield batch
    elif batch.num_rows == 1:
        raise row_too_large(name, f"row {before + 1}")
    else:
        half = batch.num_rows // 2
        yield from _parts(name, batch.slice(0, half), before)
        yield from _parts(name, batch.slice(half), before + half)


def _size(array: Any) -> int:
    """The bytes of an array when each of its values is taken out of the dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary)
        return len(array) + (pc.sum(lengths.take(array.indices)).as_py() or 0)
    if pa.types.is_map(kind):
        start, end = array.offsets[0].as_py(), array.offsets[len(array)].as_py()
        return len(array) + _size(array.keys[start:end]) + _size(array.items[start:end])
    if pa.types.is_nested(kind):
        parts = array.flatten()
        return len(array) + sum(map(_size, parts if isinstance(parts, list) else [parts]))
    return int(array.nbytes)


def _cells(column: Any) -> list[object]:
    """The values of an Arrow array: all at once if possible, one by one if a text in it is not UTF-8."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        values: list[object] = column.to_pylist()
    except UnicodeDecodeError:
        return [_cell(scalar) for scalar in column]
    return values


def _cell(scalar: Any) -> object:
    try:
        value: object = scalar.as_py()
    except UnicodeDecodeError as error:
        return error
    return value
