"""How good probabilities are against votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.types import OUTCOMES, Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_PROBABILITY = 1e-15
"""Probabilities below are taken as this in log loss, as the contest's scorer does."""

SUM_TOLERANCE = 1e-6
"""How far probabilities may be from a sum of 1; float32 rounds by less."""


def validate_rows(
    probabilities: ArrayLike, votes: Sequence[Vote | None] | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities and votes as float64 [rows, 3] each, which may be measured.

    Raises:
        ComparisonsError: a row has no vote, the shapes differ, a probability is not finite or negative, or a row does
            not sum to 1. There may be no rows.
    """
    missing = [row for row, vote in enumerate(votes) if vote is None]
    if missing:
        raise ComparisonsError(
            f"{len(missing):,} of {len(votes):,} rows have no vote, the first is row {missing[0]}: metrics need votes. "
            "Give rows with votes alone."
        )
    given = np.asarray(probabilities, dtype=np.float64)
    target = np.asarray(votes, dtype=np.float64).reshape(-1, len(OUTCOMES))
    if given.shape != target.shape:
        raise ComparisonsError(
            f"{given.shape} probabilities do not go with {target.shape} votes: give three of each a row, over "
            f"({', '.join(OUTCOMES)})."
        )
    for name, numbers in (("probabilities", given), ("votes", target)):
        wrong = ~np.isfinite(numbers).all(axis=1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ComparisonsError(
                f"{int(wrong.sum())} rows of {name} are not finite, the first is row {row}: {numbers[row].tolist()}."
            )
        wrong = (np.abs(numbers.sum(axis=1) - 1) > SUM_TOLERANCE) | (numbers < 0).any(axis=1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ComparisonsError(
                f"{name} have to be at least 0 and sum to 1 in every row; in {int(wrong.sum())} they do not, the "
                f"first is row {row}: {numbers[row].tolist()}, which sum to {numbers[row].sum():.6g}."
            )
    return given, target


def cross_entropies(probabilities: ArrayLike, votes: Sequence[Vote] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-entropy of each row in nats: -sum over outcomes of vote * log(probability).

    Args:
        probabilities: [rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft.

    Returns:
        float64 [rows].

    Raises:
        ComparisonsError: what `validate_rows` raises; it is a ValueError.
    """
    given, target = validate_rows(probabilities, votes)
    return log_loss_per_row(given, target)


def log_loss_per_row(given: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """`cross_entropies` of rows that are checked."""
    losses: NDArray[np.float64] = -(target * np.log(np.clip(given, MIN_PROBABILITY, 1.0))).sum(axis=1)
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
        ComparisonsError: there are no rows, or what `cross_entropies` raises; it is a ValueError.
    """
    losses = cross_entropies(probabilities, votes)
    if not len(losses):
        raise ComparisonsError("there are no rows to measure on: give at least one comparison with a vote")
    voted = np.asarray(votes, dtype=np.float64).argmax(axis=1)
    right = np.asarray(probabilities, dtype=np.float64).argmax(axis=1) == voted
    metrics = {"loss": float(losses.mean()), "accuracy": float(right.mean())}
    for index, outcome in enumerate(OUTCOMES):
        rows = voted == index
        if rows.any():
            metrics[f"loss_{outcome}"] = float(losses[rows].mean())
            metrics[f"accuracy_{outcome}"] = float(right[rows].mean())
    return metrics
