"""Parquet -> rows, counted from 1."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiebreak.data.table import Row, Table
from tiebreak.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def parquet_table(path: Path, wanted: Collection[str]) -> Table:
    """The `wanted` columns of a Parquet file. A cell that is not UTF-8 holds the `UnicodeDecodeError`.

    Raises:
        DataError: the file is damaged or no Parquet; also while the rows are read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    columns = tuple(file.schema_arrow.names)
    return Table(columns, _rows(path, file, [column for column in columns if column in wanted]), "row")


def _rows(path: Path, file: pq.ParquetFile, columns: list[str]) -> Iterator[Row]:
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
            for cells in zip(*(_cells(column) for column in batch.columns), strict=True):
                number += 1
                yield Row(number, dict(zip(batch.schema.names, cells, strict=True)))


def _cells(column: Any) -> list[object]:
    """The values of an Arrow array; whole where possible, one by one where a text in it is not UTF-8."""
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
