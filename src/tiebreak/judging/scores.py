"""Scores of answers as files: a row a prompt, with lists over its answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tiebreak.judging.predictions import write_frame


def write_scores(
    path: Path,
    ids: Sequence[str],
    rewards: Sequence[Sequence[float]],
    ranks: Sequence[Sequence[int]],
    comparisons: Sequence[int],
) -> None:
    """Write `id, rewards, ranks, best, comparisons`, whole or not at all.

    `rewards` and `ranks` are lists over a prompt's answers, in CSV written as JSON; `best` is the number of the answer
    of rank 1, from 0.

    Args:
        path: CSV, or by its ending Parquet or JSONL.
        ids: [rows].
        rewards: [rows][answers], in nats.
        ranks: [rows][answers], 1 for the best.
        comparisons: [rows], pairs that were judged.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    import pandas as pd

    as_text = path.suffix not in (".parquet", ".jsonl")
    frame = pd.DataFrame(
        {
            "id": list(ids),
            "rewards": [json.dumps(list(row)) if as_text else list(row) for row in rewards],
            "ranks": [json.dumps(list(row)) if as_text else list(row) for row in ranks],
            "best": [list(row).index(1) for row in ranks],
            "comparisons": list(comparisons),
        }
    )
    write_frame(path, frame)
