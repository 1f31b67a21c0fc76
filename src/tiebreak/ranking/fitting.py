"""Rewards of answers, fitted to comparisons between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.formatting import pluralize
from tiebreak.ranking.tie_models import TieModel, log_probability_gradients, outcome_logits
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

RIDGE = 0.01
"""Precision of the prior: rewards have a standard deviation of 10 nats; a gap of 3 nats is a win rate of 95 %."""

SUM_TOLERANCE = 1e-6
"""How far the sum of a row may be from 1; the rounding of float32 is smaller."""

MAX_LISTED = 8
"""The most answers, or groups of answers, that a message lists."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedRewards:
    """The result of `fit_rewards`."""

    rewards: NDArray[np.float64]
    """[N], in nats, of mean 0."""

    tie_parameter: float
    """As in `outcome_logits`; 0 for bradley-terry."""


def fit_rewards(
    count: int,
    pairs: ArrayLike,
    probabilities: ArrayLike,
    *,
    tie_model: TieModel = "davidson",
    tie_parameter: float | None = None,
    ridge: float = RIDGE,
) -> FittedRewards:
    """The maximum a posteriori rewards of a tie model for these comparisons.

    They minimise the sum over comparisons of the cross-entropy (for one-hot votes the negative log-likelihood of
    `outcome_logits`), plus ridge/2 times the squares of the rewards and of the tie parameter. The minimum is unique:
    the objective is convex in the rewards and log nu (davidson), or in the rewards and eta (rao-kupper, where
    tie_parameter^2 is convex in eta because tie_parameter < theta), and a monotone change of parameter adds no minimum.
    The likelihood depends on differences of rewards only; the prior sets their mean to 0.

    The Gaussian prior with mean 0 and precision `ridge` keeps the rewards finite if an answer wins or loses all its
    comparisons, and the tie parameter finite if all or no comparisons are ties. It shrinks a reward by about ridge / I,
    where I is the information about it (about 0.2 per comparison of similar answers): by 0.6 % after eight comparisons
    with the default. It matters more if few comparisons link answers over a long chain.

    Args:
        count: N, the number of answers.
        pairs: [M, 2], integers from 0 to N - 1: the two answers of each comparison. A pair may occur more than once.
        probabilities: [M, 3] over (first of the pair wins, second wins, tie): one-hot votes or the probabilities of a
            judge. Each row sums to 1.
        tie_model: as in `outcome_logits`.
        tie_parameter: as in `outcome_logits`; None to fit it.
        ridge: the precision of the prior, above 0.

    Returns:
        Rewards [N] with mean 0, and the tie parameter.

    Raises:
        ComparisonsError: there are no comparisons; a shape is wrong; a pair has an index out of range or the same
            answer twice; probabilities are not finite or negative, or a row does not sum to 1; there are ties and the
            model is bradley-terry; the comparisons do not link all answers; `ridge` is not positive, or `tie_parameter`
            not finite.
    """
    first, second = _validate_pairs(count, pairs)
    targets = _validate_probabilities(probabilities, len(first), tie_model)
    _validate_settings(ridge, tie_parameter)
    _check_linked(count, first, second)
    if tie_model == "bradley-terry":
        tie_parameter = 0.0

    solution = _minimise(count, first, second, targets, tie_model, tie_parameter, ridge)
    rewards = solution[:count] - solution[:count].mean()
    return FittedRewards(rewards, float(solution[count]) if tie_parameter is None else tie_parameter)


def _minimise(
    count: int, first: NDArray[np.intp], second: NDArray[np.intp], targets: NDArray[np.float64], tie_model: TieModel,
    tie_parameter: float | None, ridge: float,
) -> NDArray[np.float64]:  # fmt: skip
    """The rewards at the minimum of the objective, followed by the tie parameter if it is fitted."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The loss and its gradient at x = rewards (and tie parameter, if it is fitted)."""
        rewards = x[:count]
        tie = float(x[count]) if tie_parameter is None else tie_parameter
        gaps = rewards[first] - rewards[second]
        log_p = log_softmax(outcome_logits(gaps, np.zeros_like(gaps), tie_model, tie), axis=-1)
        by_gap, by_tie = log_probability_gradients(log_p, tie_model, tie)
        gap_gradient = -(targets * by_gap).sum(axis=1)
        gradient = ridge * x
        gradient[:count] += np.bincount(first, gap_gradient, count) - np.bincount(second, gap_gradient, count)
        if tie_parameter is None:
            gradient[count] -= (targets * by_tie).sum()
        # 0 * -inf would be NaN.
        log_likelihood = (targets * np.where(targets > 0, log_p, 0.0)).sum()
        return float(ridge / 2 * (x @ x) - log_likelihood), gradient

    start = np.zeros(count if tie_parameter is not None else count + 1)
    # There is no tolerance on the loss: it stops changing in float64 long before the rewards do.
    options = {"ftol": 0, "gtol": 1e-9, "maxiter": 10_000, "maxfun": 20_000}
    result = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(result.x, dtype=np.float64)


def _validate_settings(ridge: float, tie_parameter: float | None) -> None:
    if not (np.isfinite(ridge) and ridge > 0):
        raise ComparisonsError(f"ridge is {ridge}: give a positive number, such as {RIDGE}.")
    if tie_parameter is not None and not np.isfinite(tie_parameter):
        raise ComparisonsError(f"tie_parameter is {tie_parameter}: give a finite number, or None to fit it.")


def _validate_pairs(count: int, pairs: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the second answer of each comparison, [M] each."""
    array = np.asarray(pairs)
    if not array.size:
        raise ComparisonsError("There are no comparisons to fit rewards to: give at least one pair.")
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ComparisonsError(
            f"The pairs are {array.dtype} of shape {array.shape}: give integers of shape [comparisons, 2]."
        )
    outside = np.flatnonzero(((array < 0) | (array >= count)).any(axis=1))
    if outside.size:
        row = int(outside[0])
        raise ComparisonsError(
            f"Comparison {row} is between answers {array[row, 0]} and {array[row, 1]}, but there are "
            f"{pluralize(count, 'answer')}: answers are numbered from 0 to {count - 1}."
        )
    same = np.flatnonzero(array[:, 0] == array[:, 1])
    if same.size:
        row = int(same[0])
        raise ComparisonsError(f"Comparison {row} is between answer {array[row, 0]} and itself: remove it.")
    return array[:, 0].astype(np.intp), array[:, 1].astype(np.intp)


def _validate_probabilities(probabilities: ArrayLike, rows: int, tie_model: TieModel) -> NDArray[np.float64]:
    """Probabilities [M, 3] as float64; for bradley-terry those of ties are exactly 0."""
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape != (rows, len(OUTCOMES)):
        raise ComparisonsError(
            f"The probabilities have the shape {p.shape} for {pluralize(rows, 'pair')}: give "
            f"[{rows}, {len(OUTCOMES)}], over (first wins, second wins, tie)."
        )
    invalid = ~(np.isfinite(p) & (p >= 0)).all(axis=1) | (np.abs(p.sum(axis=1) - 1) > SUM_TOLERANCE)
    if invalid.any():
        row = int(np.flatnonzero(invalid)[0])
        raise ComparisonsError(
            f"Comparison {row} has the probabilities {p[row].tolist()}, which sum to {p[row].sum():.6g}: give three "
            "finite numbers of at least 0 that sum to 1."
        )
    if tie_model != "bradley-terry":
        return p
    tied = np.flatnonzero(p[:, 2] > SUM_TOLERANCE)
    if tied.size:
        row = int(tied[0])
        raise ComparisonsError(
            f"Comparison {row} has a probability of {p[row, 2]:.6g} for a tie, which bradley-terry does not model: use "
            "davidson or rao-kupper, or give half of the tie to each answer."
        )
    # The rounding of a softmax can leave a little probability, which would have an infinite loss.
    return np.where([True, True, False], p, 0.0)


def _check_linked(count: int, first: NDArray[np.intp], second: NDArray[np.intp]) -> None:
    """Check that comparisons link all answers: the prior alone would decide the rewards of unlinked groups."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    groups, group_of = connected_components(edges, directed=False)
    if groups == 1:
        return
    members = [np.flatnonzero(group_of == group) for group in range(groups)]
    raise ComparisonsError(
        f"The comparisons form {groups:,} groups of answers that are not linked: "
        f"{_join([_join([str(i) for i in m], ', ') for m in members], ' | ')}. "
        f"Add comparisons between groups, such as {members[0][0]} and {members[1][0]}."
    )


def _join(names: list[str], separator: str) -> str:
    """At most `MAX_LISTED` names, and the number of the others."""
    more = f"{separator}and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else ""
    return separator.join(names[:MAX_LISTED]) + more
