"""Several judges' probabilities -> weights of their mean, by maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.metrics.cross_validation import FOLDS, group_folds
from tiebreak.metrics.log_loss import MIN_PROBABILITY, cross_entropies
from tiebreak.types import OUTCOMES, Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST_STEPS: Final = 10_000
STILL: Final = 1e-10
"""The weights are found when a step lowers the log loss by less."""


def blend_weights(probabilities: ArrayLike, votes: Sequence[Vote]) -> NDArray[np.float64]:
    """The weights under which the mean of several judges' probabilities has the lowest log loss.

    The mean is a mixture, and its log loss convex in the weights, so that expectation and maximisation in turns
    (Dempster, Laird and Rubin 1977) lead to the one minimum: a judge's new weight is its share in what the blend says
    of the votes, averaged over them. A weight that goes to 0 says that the judge adds nothing to the others.

    Args:
        probabilities: [judges, rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft, of rows that none of the judges has learned from.

    Returns:
        float64 [judges], at least 0, of sum 1.

    Raises:
        DataError: there are no rows or no judges.
        ValueError: the shapes differ, or probabilities are not finite or do not sum to 1.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    if given.ndim != 3 or not given.shape[0] or not given.shape[1]:
        raise DataError(f"Probabilities of the shape {given.shape} are nothing to blend: give [judges, rows, 3].")
    for judge in given:
        cross_entropies(judge, votes)  # for what it refuses
    target = np.asarray(votes, dtype=np.float64).reshape(-1, len(OUTCOMES))
    given = np.clip(given, MIN_PROBABILITY, 1.0)
    weights = np.full(len(given), 1 / len(given))
    before = np.inf
    for _ in range(MOST_STEPS):
        blend = np.einsum("j,jrk->rk", weights, given)
        loss = -float((target * np.log(blend)).sum()) / len(target)
        if before - loss < STILL:
            break
        before = loss
        weights = weights * np.einsum("jrk,rk->j", given, target / blend) / target.sum()
        weights /= weights.sum()
    return weights


def blend(probabilities: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """The weighted mean, [rows, 3], of probabilities [judges, rows, 3]."""
    mean: NDArray[np.float64] = np.einsum("j,jrk->rk", np.asarray(weights, np.float64), np.asarray(probabilities))
    whole: NDArray[np.float64] = mean / mean.sum(axis=1, keepdims=True)
    return whole


def out_of_fold_blend(probabilities: ArrayLike, votes: Sequence[Vote], prompts: Sequence[str]) -> NDArray[np.float64]:
    """What blends say of rows on which their weights were not found, [rows, 3]: an honest measure of the blend.

    A cross-validation in `FOLDS` folds; the weights differ a little from fold to fold.

    Args:
        probabilities: [judges, rows, 3], as in `blend_weights`.
        votes: [rows].
        prompts: [rows], the same text for rows that have the same prompt: these stay together.

    Raises:
        DataError: there are fewer than `FOLDS` prompts.
        DataError, ValueError: as in `blend_weights`.
    """
    given, target = np.asarray(probabilities, dtype=np.float64), np.asarray(votes, dtype=np.float64)
    names, groups = np.unique(np.asarray(prompts), return_inverse=True)
    if len(names) < FOLDS:
        raise DataError(f"{pluralize(len(names), 'prompt')} are too few to find weights on: give {FOLDS} or more.")
    folds = group_folds(groups)
    said = np.empty(given.shape[1:])
    for fold in range(FOLDS):
        held_out = folds == fold
        seen = [tuple(vote) for vote in target[~held_out].tolist()]
        said[held_out] = blend(given[:, held_out], blend_weights(given[:, ~held_out], seen))
    return said


def gains(probabilities: ArrayLike, votes: Sequence[Vote], prompts: Sequence[str]) -> NDArray[np.float64]:
    """What each judge adds: by how much the log loss rises when the blend is made without it, float64 [judges].

    All of it `out_of_fold_blend`, so that a judge which adds nothing gets about 0, and one that only adds noise less.
    Of a single judge the whole log loss less that of a uniform guess, negated.
    """
    given = np.asarray(probabilities, dtype=np.float64)

    def loss(judges: NDArray[np.float64]) -> float:
        return float(cross_entropies(out_of_fold_blend(judges, votes, prompts), votes).mean())

    whole = loss(given)
    if len(given) == 1:
        return np.array([np.log(len(OUTCOMES)) - whole])
    return np.array([loss(np.delete(given, judge, axis=0)) - whole for judge in range(len(given))])
