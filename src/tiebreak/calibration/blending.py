"""Weights for the mean of several judges' probabilities, by maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.metrics.cross_validation import FOLDS, group_folds, number_groups
from tiebreak.metrics.log_loss import MIN_PROBABILITY, cross_entropies, validate_rows
from tiebreak.types import OUTCOMES, Vote
from tiebreak.weights import total_weight, validate_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def fit_blend_weights(
    probabilities: ArrayLike, votes: Sequence[Vote] | NDArray[np.float64], row_weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The weights that minimise the log loss of the weighted mean of several judges' probabilities.

    The log loss is convex in the weights, so the minimum is unique. A weight of 0 means that the judge adds nothing to
    the others.

    Args:
        probabilities: [judges, rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft. None of the judges was trained on these rows.
        row_weights: [rows], how much each row counts, above 0; None if all count the same.

    Returns:
        float64 [judges], at least 0 and with a sum of 1.

    Raises:
        DataError: there are no rows or no judges.
        ComparisonsError: shapes differ, or probabilities are not finite or do not sum to 1. It is a ValueError too.
    """
    from scipy.optimize import minimize

    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 3 or not p.shape[0] or not p.shape[1]:
        raise DataError(f"The probabilities have the shape {p.shape}: give [judges, rows, 3], with one or more rows.")
    for judge in p:
        _, targets = validate_rows(judge, votes)
    w = validate_weights(row_weights, len(targets), positive=True)
    total = total_weight(w, len(targets))
    targets = targets if w is None else targets * w[:, None]
    p = np.clip(p, MIN_PROBABILITY, 1.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        blend = np.einsum("j,jrk->rk", weights, p)
        gradient = -np.einsum("jrk,rk->j", p, targets / blend) / total
        return -float((targets * np.log(blend)).sum()) / total, gradient

    result = minimize(
        loss, np.full(len(p), 1 / len(p)), jac=True, method="SLSQP", bounds=[(0.0, 1.0)] * len(p),
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 1000},
    )  # fmt: skip
    weights = np.clip(result.x, 0.0, 1.0)
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def weighted_mean(probabilities: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """The weighted mean, [rows, 3], of probabilities [judges, rows, 3]."""
    mean: NDArray[np.float64] = np.einsum("j,jrk->rk", np.asarray(weights, np.float64), np.asarray(probabilities))
    normalised: NDArray[np.float64] = mean / mean.sum(axis=1, keepdims=True)
    return normalised


def out_of_fold_blend(
    probabilities: ArrayLike, votes: Sequence[Vote], prompts: Sequence[str], row_weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Cross-validated probabilities of the blend, [rows, 3]: the weights for a row come from rows with other prompts.

    Their log loss is an unbiased estimate; that of the blend on the rows its weights were fitted to is too low.

    Args:
        probabilities: [judges, rows, 3], as in `fit_blend_weights`.
        votes: [rows].
        prompts: [rows]. Rows with the same text are in the same fold.
        row_weights: as in `fit_blend_weights`.

    Raises:
        DataError: there are fewer than `FOLDS` prompts, or as in `fit_blend_weights`.
        ComparisonsError: as in `fit_blend_weights`.
    """
    p, targets = np.asarray(probabilities, dtype=np.float64), np.asarray(votes, dtype=np.float64)
    count = len(set(prompts))
    if count < FOLDS:
        raise DataError(f"{pluralize(count, 'prompt')} are too few to fit weights to: give {FOLDS} or more.")
    w = validate_weights(row_weights, len(targets), positive=True)
    folds = group_folds(number_groups(prompts), w)
    blend = np.empty(p.shape[1:])
    for fold in range(FOLDS):
        held_out = folds == fold
        weights = fit_blend_weights(p[:, ~held_out], targets[~held_out], None if w is None else w[~held_out])
        blend[held_out] = weighted_mean(p[:, held_out], weights)
    return blend


def member_gains(
    probabilities: ArrayLike, votes: Sequence[Vote], prompts: Sequence[str], row_weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """How much the log loss of `out_of_fold_blend` rises without each judge, float64 [judges].

    The gain is about 0 for a judge that adds nothing, and negative for one that only adds noise. For a single judge it
    is the log loss of a uniform guess minus that of the judge.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    w = validate_weights(row_weights, len(votes), positive=True)

    def loss(judges: NDArray[np.float64]) -> float:
        losses = cross_entropies(out_of_fold_blend(judges, votes, prompts, w), votes)
        return float(np.average(losses, weights=w))

    loss_of_all = loss(p)
    if len(p) == 1:
        return np.array([np.log(len(OUTCOMES)) - loss_of_all])
    return np.array([loss(np.delete(p, judge, axis=0)) - loss_of_all for judge in range(len(p))])
