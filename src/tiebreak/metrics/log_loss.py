"""Log loss and accuracy of probabilities against votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.types import OUTCOMES, Vote
from tiebreak.weights import validate_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_PROBABILITY = 1e-15
"""In the log loss, smaller probabilities count as this one (as in the scorer of the LMSYS Kaggle competition)."""

SUM_TOLERANCE = 1e-6
"""How far the sum of a row may be from 1; the rounding of float32 is smaller."""


def validate_rows(
    probabilities: ArrayLike, votes: Sequence[Vote | None] | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check probabilities and votes, and return them as float64 [rows, 3] each. There may be no rows.

    Raises:
        ComparisonsError: a row has no vote, shapes differ, a value is not finite or negative, or a row does not sum
            to 1.
    """
    missing = [row for row, vote in enumerate(votes) if vote is None]
    if missing:
        raise ComparisonsError(
            f"{len(missing):,} of {len(votes):,} rows have no vote (the first is row {missing[0]}). Metrics need "
            "votes: remove these rows."
        )
    p = np.asarray(probabilities, dtype=np.float64)
    targets = np.asarray(votes, dtype=np.float64).reshape(-1, len(OUTCOMES))
    if p.shape != targets.shape:
        raise ComparisonsError(
            f"probabilities have the shape {p.shape} and votes {targets.shape}: give [rows, 3] for both, over "
            f"({', '.join(OUTCOMES)})."
        )
    for name, values in (("probabilities", p), ("votes", targets)):
        invalid = ~np.isfinite(values).all(axis=1)
        if invalid.any():
            row = int(np.flatnonzero(invalid)[0])
            raise ComparisonsError(
                f"{int(invalid.sum())} rows of {name} are not finite. The first is row {row}: {values[row].tolist()}."
            )
        invalid = (np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE) | (values < 0).any(axis=1)
        if invalid.any():
            row = int(np.flatnonzero(invalid)[0])
            raise ComparisonsError(
                f"{name} must be at least 0 and sum to 1 in every row; {int(invalid.sum())} rows do not. The first is "
                f"row {row}: {values[row].tolist()}, with a sum of {values[row].sum():.6g}."
            )
    return p, targets


def cross_entropies(probabilities: ArrayLike, votes: Sequence[Vote] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-entropy of each row in nats: -sum over outcomes of vote * log(probability).

    Args:
        probabilities: [rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft.

    Returns:
        float64 [rows].

    Raises:
        ComparisonsError: as in `validate_rows`; it is a ValueError.
    """
    return log_loss_per_row(*validate_rows(probabilities, votes))


def log_loss_per_row(p: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """`cross_entropies` for validated probabilities and votes, [rows, 3] each."""
    losses: NDArray[np.float64] = (targets * losses_by_outcome(p)).sum(axis=1)
    return losses


def losses_by_outcome(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log loss of each row for a vote for each outcome, [rows, 3] -> [rows, 3]."""
    losses: NDArray[np.float64] = -np.log(np.clip(p, MIN_PROBABILITY, 1.0))
    return losses


def right_and_wrong(p: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Votes with which the judge is right in every row, and with which it is wrong, [2, rows, 3].

    The shares of each vote stay as they are, in another order: the largest share goes to the judge's most likely
    outcome, or to its second one. So soft votes stay as soft as they are. The mean losses with these votes are what
    `GroupedRows.means` takes as `rare`.
    """
    order, shares = np.argsort(p, axis=1), np.sort(targets, axis=1)
    votes = np.empty((2, *p.shape))
    np.put_along_axis(votes[0], order, shares, axis=1)
    np.put_along_axis(votes[1], order[:, [0, 2, 1]], shares, axis=1)
    return votes


def preference_metrics(
    probabilities: ArrayLike, votes: Sequence[Vote], weights: ArrayLike | None = None
) -> dict[str, float]:
    """Log loss and accuracy, over all rows and by voted outcome.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft. For accuracy and the metrics by outcome, a soft vote counts as its most likely
            outcome.
        weights: [rows], how much each row counts; None if all count the same. Rows of weight 0 do not count at all.

    Returns:
        `loss` in nats (1.0986 for a uniform guess), `accuracy`, and for each outcome with votes `loss_OUTCOME` and
        `accuracy_OUTCOME` (the recall) over the rows with that vote.

    Raises:
        ComparisonsError: there are no rows, no weight is above 0, or as in `validate_rows` and `validate_weights`. It
            is a ValueError.
    """
    p, targets = validate_rows(probabilities, votes)
    w = validate_weights(weights, len(p))
    if w is not None:
        p, targets, w = p[w > 0], targets[w > 0], w[w > 0]
        if not len(p):
            raise ComparisonsError("All rows have weight 0, so there is nothing to evaluate: give weights above 0.")
    if not len(p):
        raise ComparisonsError("There are no rows to evaluate: give at least one comparison with a vote.")
    losses = log_loss_per_row(p, targets)
    voted = targets.argmax(axis=1)
    correct = p.argmax(axis=1) == voted

    def average(values: NDArray[Any], rows: NDArray[np.bool_] | slice = slice(None)) -> float:
        return float(np.average(values[rows], weights=None if w is None else w[rows]))

    metrics = {"loss": average(losses), "accuracy": average(correct)}
    for index, outcome in enumerate(OUTCOMES):
        rows = voted == index
        if rows.any():
            metrics[f"loss_{outcome}"] = average(losses, rows)
            metrics[f"accuracy_{outcome}"] = average(correct, rows)
    return metrics
