"""Small files of votes, written by the tests that read them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

LMSYS = ("id", "prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie")


def lmsys_row(**cells: Any) -> dict[str, Any]:
    """A valid row with some cells replaced."""
    good = {"id": "7", "prompt": '["Hi"]', "response_a": '["Hello"]', "response_b": '["Go away"]'}
    return {**good, "winner_model_a": "1", "winner_model_b": "0", "winner_tie": "0", **cells}


def write_csv(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] = LMSYS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path
