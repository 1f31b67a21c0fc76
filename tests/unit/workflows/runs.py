"""Runs made by hand, as small as a baseline's or a blend's folder can be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tiebreak.baselines import BaselineCard, BaselineKind
from tiebreak.metrics import preference_metrics
from tiebreak.runs import write_predictions
from tiebreak.types import Comparison, Vote

VOTES: list[Vote] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
NASTY = "<script>alert('x')</script> & more"


def comparisons(votes: list[Vote], first: int = 0) -> list[Comparison]:
    return [
        Comparison((f"{NASTY} {i}",), ("a " * (i + 300) + NASTY,), (f"b {NASTY}",), vote, id=f"row-{i}")
        for i, vote in enumerate(votes, first)
    ]


def write_run(
    folder: Path, rows: list[Comparison], *, rewards: bool = False, kind: BaselineKind = "trees"
) -> dict[str, float]:
    """A finished run with random predictions for these rows; returns its metrics."""
    (folder / "model").mkdir(parents=True)
    card = BaselineCard(kind=kind, settings={}, features=())
    (folder / "model" / "baseline.json").write_text(card.model_dump_json())
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([1, 1, 1], len(rows))
    votes = [row.vote for row in rows if row.vote is not None]
    write_predictions(
        folder / "predictions.parquet", rows, probabilities, random.normal(size=(len(rows), 2)) if rewards else None
    )
    metrics = preference_metrics(probabilities, votes)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return metrics
