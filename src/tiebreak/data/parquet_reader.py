"""Read Parquet into rows, in batches whose texts fit into the limit of one row each.

A few bytes of Parquet may stand for gigabytes: a dictionary holds a long text once for a million rows, and a page of
zeros compresses well. Texts are therefore read as dictionaries, measured, and only then taken out, a few rows at a
time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tiebreak.data.input_file import OnProgress, check_regular_file
from tiebreak.data.limits import MAX_COLUMNS, MAX_ROW_BYTES, check_columns, check_unpacked, row_too_large
from tiebreak.data.table import Row, Table
from tiebreak.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH: Final = 1024
_DELTA_BATCH: Final = 16
"""Rows at a time if texts are stored as differences to the text before, which pyarrow does not read as dictionaries."""
_DELTA_ENCODINGS: Final = {"DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"}
_THRIFT_STRING_BYTES: Final = 64 * 2**20
_THRIFT_ITEMS: Final = 10_000_000


def read_parquet(path: Path, columns: Collection[str], on_progress: OnProgress | None = None) -> Table:
    """The requested columns of a Parquet file; rows are counted from 1.

    A cell that is not UTF-8 holds its `UnicodeDecodeError`.

    Raises:
        DataError: the file is damaged, not Parquet, or exceeds one of `tiebreak.data.limits`; also while the rows are
            iterated.
    """
    import pyarrow as pa

    size = check_regular_file(path)
    try:
        with _open(path) as file:
            names = tuple(file.schema_arrow.names)
            read = [name for name in names if name in columns]
            leaves = _leaves(file, read)
            _check_counts(str(path), file, leaves, size)
            texts, delta = _texts(file, leaves)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    for name in read:
        if names.count(name) > 1:
            raise DataError(f"{path} has {names.count(name)} columns named {name!r}: rename all but one.")
    rows = _rows(path, read, texts, _DELTA_BATCH if delta else _BATCH, on_progress)
    return Table(check_columns(str(path), names), rows, "row")


def _open(path: Path, texts: Collection[str] = ()) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        path,
        read_dictionary=sorted(texts),
        thrift_string_size_limit=_THRIFT_STRING_BYTES,
        thrift_container_size_limit=_THRIFT_ITEMS,
    )


def _leaves(file: pq.ParquetFile, columns: Collection[str]) -> list[int]:
    """The indices of the stored columns that make up the requested ones: lists and objects have several."""
    schema = file.schema
    return [i for i in range(len(schema)) if schema.column(i).path.split(".")[0] in columns]


def _check_counts(name: str, file: pq.ParquetFile, leaves: list[int], size: int) -> None:
    """Refuse metadata that cannot be true, or that announce more data than the file can hold."""
    metadata = file.metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    rows = [group.num_rows for group in groups]
    if metadata.num_rows != sum(rows) or min(rows, default=0) < 0:
        raise DataError(
            f"{name} is damaged: its metadata count {metadata.num_rows:,} rows, and {sum(rows):,} in its row groups. "
            "Write or download it again."
        )
    if len(leaves) > MAX_COLUMNS:
        raise DataError(f"{name} stores {len(leaves):,} columns to read; at most {MAX_COLUMNS:,} are read.")
    for group in groups:
        chunks = [group.column(leaf) for leaf in leaves]
        sizes = [(chunk.total_compressed_size, chunk.total_uncompressed_size) for chunk in chunks]
        if any(not 0 <= packed <= size or unpacked < 0 for packed, unpacked in sizes):
            raise DataError(
                f"{name} is damaged: its metadata announce a column of {max(packed for packed, _ in sizes):,} bytes in "
                f"a file of {size:,}. Write or download it again."
            )
        for _, unpacked in sizes:
            check_unpacked(name, unpacked, size)


def _texts(file: pq.ParquetFile, leaves: list[int]) -> tuple[list[str], bool]:
    """The paths of the columns of texts to read as dictionaries, and whether there are texts stored as differences."""
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    texts, delta = [], False
    for leaf in leaves:
        column = file.schema.column(leaf)
        if column.physical_type != "BYTE_ARRAY" or column.logical_type.type not in ("STRING", "NONE", "JSON"):
            continue
        if any(_DELTA_ENCODINGS.intersection(group.column(leaf).encodings) for group in groups):
            delta = True
        else:
            texts.append(column.path)
    return texts, delta


def _rows(
    path: Path, columns: list[str], texts: list[str], batch_size: int, on_progress: OnProgress | None
) -> Iterator[Row]:
    import pyarrow as pa

    number = 0
    try:
        with _open(path, texts) as file:
            total = file.metadata.num_rows
            for batch in file.iter_batches(batch_size=batch_size, columns=columns):
                for part in _parts(str(path), batch, number):
                    cells = [_cells(column) for column in part.columns]
                    for row in zip(*cells, strict=True):
                        number += 1
                        yield Row(number, dict(zip(batch.schema.names, row, strict=True)))
                if on_progress is not None:
                    on_progress(number, total)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} is damaged after row {number}: {error}") from error
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
    if pa.types.is_struct(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
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
