"""How good probabilities are against votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.comparison import OUTCOMES, Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SMALLEST = 1e-15
"""Probabilities below are taken as this in log loss, as the contest's scorer does."""


def cross_entropies(probabilities: ArrayLike, votes: Sequence[Vote]) -> NDArray[np.float64]:
    """Cross-entropy of each row in nats: -sum over outcomes of vote * log(probability).

    Args:
        probabilities: [rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft.

    Returns:
        float64 [rows].

    Raises:
        ValueError: the shapes differ, a probability is not finite, or a row does not sum to 1.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    target = np.asarray(votes, dtype=np.float64).reshape(-1, len(OUTCOMES))
    if given.shape != target.shape:
        raise ValueError(f"{given.shape} probabilities do not go with {target.shape} votes")
    if not np.isfinite(given).all():
        raise ValueError(f"{int((~np.isfinite(given)).any(axis=1).sum())} rows of probabilities are not finite")
    if len(given) and np.abs(given.sum(axis=1) - 1).max() > 1e-6:
        raise ValueError("probabilities do not sum to 1 in every row")
    losses: NDArray[np.float64] = -(target * np.log(np.clip(given, SMALLEST, 1.0))).sum(axis=1)
    return losses


def preference_metrics(probabilities: ArrayLike, votes: Sequence[Vote]) -> dict[str, float]:
    """Log loss and accuracy, over all rows and by the outcome people voted for.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft; a soft vote counts as its likeliest outcome in accuracy and breakdown.

    Returns:
        `loss` in nats (1.0986 for a uniform guess), `accuracy`, and for each outcome with votes
        `loss_OUTCOME` and `accuracy_OUTCOME` over the rows people voted so (the latter is the recall).

    Raises:
        ValueError: there are no rows, or what `cross_entropies` raises.
    """
    losses = cross_entropies(probabilities, votes)
    if not len(losses):
        raise ValueError("there are no rows to measure on")
    voted = np.asarray(votes, dtype=np.float64).argmax(axis=1)
    right = np.asarray(probabilities, dtype=np.float64).argmax(axis=1) == voted
    metrics = {"loss": float(losses.mean()), "accuracy": float(right.mean())}
    for index, outcome in enumerate(OUTCOMES):
        rows = voted == index
        if rows.any():
            metrics[f"loss_{outcome}"] = float(losses[rows].mean())
            metrics[f"accuracy_{outcome}"] = float(right[rows].mean())
    return metrics
