"""Write comparisons to a file of votes, with the columns of the LMSYS Chatbot Arena competition on Kaggle."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from tiebreak.data.layouts import MARGIN_COLUMN, TAG_COLUMNS, TEXT_COLUMNS, WEIGHT_COLUMN, WINNER_COLUMNS
from tiebreak.errors import DataError
from tiebreak.runs import write_atomically
from tiebreak.types import Comparison

WRITTEN_ENDINGS: Final = (".csv", ".jsonl", ".parquet")
_SYSTEM: Final = "system"
_BATCH: Final = 1024
"""Rows of a Parquet file that are encoded at once."""


def write_comparisons(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write comparisons as CSV, JSON lines or Parquet, by the ending of the path; `read_votes` reads them back equal.

    The file is written atomically. Prompt and answers are lists of turns, in CSV as JSON, as in the competition. There
    are columns of system messages, votes, margins and each tag if a comparison has one, and of weights if one is not 1.

    Raises:
        DataError: the ending is not one of `WRITTEN_ENDINGS`.
        RunError: the disk is full, or the folder cannot be written to.
        ValueError: a comparison has a margin although its vote prefers neither answer.
    """
    for comparison in comparisons:
        if comparison.margin and (comparison.vote is None or comparison.vote[0] == comparison.vote[1]):
            raise ValueError(f"comparison {comparison.id} has a margin, but its vote prefers neither answer")
    names = _columns(comparisons)
    write_atomically(path, lambda draft: _writer(path)(draft, names, (_cells(c, names) for c in comparisons)))


def check_written_path(path: Path) -> None:
    """Check that comparisons can be written to a file of this name.

    Raises:
        DataError: its ending is unknown, or it is a folder.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file to write.")
    _writer(path)


_Cells = dict[str, object]
_Write = Callable[[Path, Sequence[str], Iterator[_Cells]], None]


def _writer(path: Path) -> _Write:
    writers: dict[str, _Write] = {".csv": _write_csv, ".jsonl": _write_json_lines, ".parquet": _write_parquet}
    if path.suffix.lower() not in writers:
        endings = ", ".join(WRITTEN_ENDINGS)
        raise DataError(f"{path} ends in {path.suffix!r}: votes are written as one of {endings}.")
    return writers[path.suffix.lower()]


def _columns(comparisons: Sequence[Comparison]) -> list[str]:
    """The columns that these comparisons need."""
    tags = {name for tags in {comparison.tags for comparison in comparisons} for name, _ in tags}
    return [
        "id",
        *TEXT_COLUMNS,
        *((_SYSTEM,) if any(c.system for c in comparisons) else ()),
        *(WINNER_COLUMNS if any(c.vote is not None for c in comparisons) else ()),
        *((MARGIN_COLUMN,) if any(c.margin for c in comparisons) else ()),
        *((WEIGHT_COLUMN,) if any(c.weight != 1 for c in comparisons) else ()),
        *(column for column in TAG_COLUMNS if column in tags),
    ]


def _cells(comparison: Comparison, names: Sequence[str]) -> _Cells:
    turns = (comparison.user_turns, comparison.answer_a, comparison.answer_b)
    cells: _Cells = {
        "id": comparison.id,
        **dict(zip(TEXT_COLUMNS, map(list, turns), strict=True)),
        _SYSTEM: comparison.system,
        **dict(zip(WINNER_COLUMNS, comparison.vote or (None, None, None), strict=True)),
        MARGIN_COLUMN: comparison.margin,
        WEIGHT_COLUMN: comparison.weight,
        **dict(comparison.tags),
    }
    return {name: cells.get(name) for name in names}


def _write_csv(path: Path, names: Sequence[str], rows: Iterator[_Cells]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([_csv_cell(cell) for cell in row.values()] for row in rows)


def _csv_cell(cell: object) -> str:
    """Lists as JSON, and 0 and 1 as integers, as in the competition; other numbers with all their digits."""
    if isinstance(cell, list):
        return json.dumps(cell, ensure_ascii=False)
    if isinstance(cell, float):
        return str(int(cell)) if cell in (0, 1) else repr(cell)
    return "" if cell is None else str(cell)


def _write_json_lines(path: Path, _: Sequence[str], rows: Iterator[_Cells]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, names: Sequence[str], rows: Iterator[_Cells]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        **dict.fromkeys(TEXT_COLUMNS, pa.list_(pa.string())),
        **dict.fromkeys((*WINNER_COLUMNS, MARGIN_COLUMN, WEIGHT_COLUMN), pa.float64()),
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rows, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
