"""Scores of answers as files: a row an answer, or a row a prompt with lists over its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tiebreak.runs.predictions import write_frame


def write_rewards(path: Path, ids: Sequence[str], rewards: Sequence[float], normalised: Sequence[float]) -> None:
    """Write `id, reward, normalised`, a row an answer, whole or not at all.

    Args:
        path: CSV, or by its ending Parquet or JSONL.
        ids: [rows].
        rewards: [rows], in nats.
        normalised: [rows], the same in standard deviations around the validation's mean.

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
    """Write a row a prompt: `id, rewards, ranks, best, best_response`, whole or not at all.

    `rewards` and `ranks` are lists over a prompt's answers, in CSV written as JSON; `best` is the number of the answer
    of rank 1, from 0, and `best_response` its text, in several turns a list of them.

    Args:
        path: CSV, or by its ending Parquet or JSONL.
        ids: [rows].
        answers: [rows][answers][turns].
        rewards: [rows][answers], in nats.
        ranks: [rows][answers], 1 for the best.
        comparisons: [rows], pairs that were judged: a column of that name.
        normalised: [rows][answers], in standard deviations around the validation's mean: a column of that name.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    best = [list(row).index(1) for row in ranks]
    turns = [list(of[number]) for of, number in zip(answers, best, strict=True)]
    one_turn = all(len(said) == 1 for said in turns)  # a column holds texts, or lists of them
    columns: dict[str, Sequence[Any]] = {"id": list(ids), "rewards": [list(row) for row in rewards]}
    if normalised is not None:
        columns["normalised"] = [list(row) for row in normalised]
    columns |= {
        "ranks": [list(row) for row in ranks],
        "best": best,
        "best_response": [said[0] for said in turns] if one_turn else turns,
    }
    if comparisons is not None:
        columns["comparisons"] = list(comparisons)
    _write(path, columns)


def _write(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns by the file's ending; CSV has no lists, so they are written as JSON there."""
    import pandas as pd

    if path.suffix not in (".parquet", ".jsonl"):
        columns = {
            name: [json.dumps(cell, ensure_ascii=False) if isinstance(cell, list) else cell for cell in cells]
            for name, cells in columns.items()
        }
    write_frame(path, pd.DataFrame(columns))
