"""Files of scores: one row per answer, or one row per prompt with lists over its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tiebreak.runs.predictions import write_frame


def write_rewards(path: Path, ids: Sequence[str], rewards: Sequence[float], normalised: Sequence[float]) -> None:
    """Write `id, reward, normalised` atomically, one row per answer.

    Args:
        path: Parquet or JSONL by its extension, else CSV.
        ids: [rows].
        rewards: [rows], in nats.
        normalised: [rows], rewards in standard deviations from the mean of the run's validation answers.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    _write(path, {"id": list(ids), "reward": list(rewards), "normalised": list(normalised)})


def write_scores(
    path: Path,
    ids: Sequence[str],
    answers: Sequence[Sequence[Sequence[str]]],
    rewards: Sequence[Sequence[float]],
    ranks: Sequence[Sequence[int]],
    *,
    comparisons: Sequence[int] | None = None,
    normalised: Sequence[Sequence[float]] | None = None,
) -> None:
    """Write `id, rewards, ranks, best, best_response` atomically, one row per prompt.

    `rewards` and `ranks` are lists over a prompt's answers; CSV has them as JSON. `best` is the index of the answer of
    rank 1, from 0, and `best_response` is its text, or the list of its turns.

    Args:
        path: Parquet or JSONL by its extension, else CSV.
        ids: [rows].
        answers: [rows][answers][turns].
        rewards: [rows][answers], in nats.
        ranks: [rows][answers], 1 for the best.
        comparisons: [rows], the number of pairs that were judged; adds a column.
        normalised: [rows][answers], in standard deviations from the mean of the validation answers; adds a column.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    best = [list(row).index(1) for row in ranks]
    best_answers = [list(row[index]) for row, index in zip(answers, best, strict=True)]
    one_turn = all(len(turns) == 1 for turns in best_answers)  # a column holds texts or lists, not both
    columns: dict[str, Sequence[Any]] = {"id": list(ids), "rewards": [list(row) for row in rewards]}
    if normalised is not None:
        columns["normalised"] = [list(row) for row in normalised]
    columns |= {
        "ranks": [list(row) for row in ranks],
        "best": best,
        "best_response": [turns[0] for turns in best_answers] if one_turn else best_answers,
    }
    if comparisons is not None:
        columns["comparisons"] = list(comparisons)
    _write(path, columns)


def _write(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns in the format of the extension; CSV has no lists, so it contains them as JSON."""
    import pandas as pd

    if path.suffix not in (".parquet", ".jsonl"):
        columns = {
            name: [json.dumps(cell, ensure_ascii=False) if isinstance(cell, list) else cell for cell in cells]
            for name, cells in columns.items()
        }
    write_frame(path, pd.DataFrame(columns))
