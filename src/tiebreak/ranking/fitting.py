"""Comparisons of a few answers with each other -> a reward for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.formatting import pluralize
from tiebreak.ranking.tie_models import TieModel, log_probability_slopes, outcome_logits
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

RIDGE = 0.01
"""The prior's precision: a reward has a standard deviation of 10 nats a priori, where 3 nats are 95 % of wins."""

SUM_TOLERANCE = 1e-6
"""How far probabilities may be from a sum of 1; float32 rounds by less."""

SHOWN = 8
"""How many answers or groups of answers a message lists."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedRewards:
    """What comparisons say of the answers compared."""

    rewards: NDArray[np.float64]
    """[N], in nats, of mean 0."""

    tie_parameter: float
    """As `outcome_logits` takes it; 0 where the model knows no ties."""


def fit_rewards(
    count: int,
    pairs: ArrayLike,
    probabilities: ArrayLike,
    *,
    tie_model: TieModel = "davidson",
    tie_parameter: float | None = None,
    ridge: float = RIDGE,
) -> FittedRewards:
    """The rewards under which a tie model comes closest to these comparisons.

    They minimise the sum over comparisons of the cross-entropy (for one-hot votes the negative log-likelihood of
    `outcome_logits`), plus ridge/2 times the squares of the rewards and of the tie parameter. The problem has one
    minimum: all of it is convex in the rewards and log nu (davidson), or the rewards and eta (rao-kupper, where
    tie_parameter^2 is convex in eta because tie_parameter < theta), and a monotone change of parameter adds none. The
    likelihood sees differences of rewards only, so the prior alone decides their mean, which is 0.

    The prior is Gaussian, of mean 0 and precision `ridge`. It keeps finite the reward of an answer that won or lost
    everything, and the tie parameter where every comparison is a tie or none is. A reward is drawn to 0 by about
    ridge / I of itself, where I is the information about it (about 0.2 a comparison of near equals): 0.6 % after eight
    comparisons, by default. Where few comparisons link answers over a long chain, the prior matters more.

    Args:
        count: N, how many answers there are.
        pairs: [M, 2], whole numbers from 0 to N - 1: which two answers a comparison is of.
        probabilities: [M, 3] over (first of the pair wins, second wins, tie): one-hot votes or a judge's
            probabilities. Each row sums to 1. A pair may come more than once.
        tie_model: how rewards make wins and ties.
        tie_parameter: of the tie model, where it is known (a model learned it); fitted if None.
        ridge: the prior's precision, above 0.

    Returns:
        Rewards [N] of mean 0, and the tie parameter, fitted or given.

    Raises:
        ComparisonsError: there are no comparisons, or of other shapes than these; a pair names an answer that is not
            there, or one answer twice; probabilities are not finite or negative, or a row does not sum to 1; there are
            ties and the model is bradley-terry; the comparisons do not link all answers; `ridge` is not a positive
            number, or `tie_parameter` not a finite one.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    first, second = _checked_pairs(count, pairs)
    votes = _checked_votes(probabilities, len(first), tie_model)
    if not (np.isfinite(ridge) and ridge > 0):
        raise ComparisonsError(f"ridge is {ridge}: give a positive number, such as {RIDGE}.")
    if tie_parameter is not None and not np.isfinite(tie_parameter):
        raise ComparisonsError(f"tie_parameter is {tie_parameter}: give a finite number, or None to have it fitted.")
    _check_linked(count, first, second)
    if tie_model == "bradley-terry":
        tie_parameter = 0.0

    def loss(unknowns: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The objective and its gradient by rewards and tie parameter."""

        rewards = unknowns[:count]
        tie = float(unknowns[count]) if tie_parameter is None else tie_parameter
        gaps = rewards[first] - rewards[second]
        log_p = log_softmax(outcome_logits(gaps, np.zeros_like(gaps), tie_model, tie), axis=-1)
        by_gap, by_tie = log_probability_slopes(log_p, tie_model, tie)
        pull = -(votes * by_gap).sum(axis=1)
        slope = ridge * unknowns
        slope[:count] += np.bincount(first, pull, count) - np.bincount(second, pull, count)
        if tie_parameter is None:
            slope[count] -= (votes * by_tie).sum()
        # An outcome nobody voted for costs nothing, even where its log-probability is -inf.
        log_loss_per_row = np.where(votes > 0, log_p, 0.0)
        return float(-(votes * log_loss_per_row).sum() + ridge / 2 * (unknowns @ unknowns)), slope

    start = np.zeros(count if tie_parameter is not None else count + 1)
    # No tolerance on the loss: it stops changing in float64 long before the rewards do.
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-9, "maxiter": 10_000, "maxfun": 20_000}
    ).x
    rewards = np.asarray(found[:count], dtype=np.float64)
    return FittedRewards(rewards - rewards.mean(), float(found[count]) if tie_parameter is None else tie_parameter)


def _checked_pairs(count: int, pairs: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Firsts and seconds, [M] each."""
    given = np.asarray(pairs)
    if not given.size:
        raise ComparisonsError("There are no comparisons to fit rewards to: give at least one pair.")
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iu":
        raise ComparisonsError(
            f"The pairs are {given.dtype} of shape {given.shape}: give whole numbers of shape [comparisons, 2]."
        )
    outside = np.flatnonzero(((given < 0) | (given >= count)).any(axis=1))
    if outside.size:
        row = int(outside[0])
        raise ComparisonsError(
            f"Comparison {row} is of answers {given[row, 0]} and {given[row, 1]}, and there are "
            f"{pluralize(count, 'answer')}: answers are numbered from 0 to {count - 1}."
        )
    alone = np.flatnonzero(given[:, 0] == given[:, 1])
    if alone.size:
        row = int(alone[0])
        raise ComparisonsError(
            f"Comparison {row} is of answer {given[row, 0]} with itself, which says nothing of its reward: "
            "leave it out."
        )
    return given[:, 0].astype(np.intp), given[:, 1].astype(np.intp)


def _checked_votes(probabilities: ArrayLike, rows: int, tie_model: TieModel) -> NDArray[np.float64]:
    """Probabilities [M, 3], as float64; those of ties are exactly 0 where the model knows none."""
    given = np.asarray(probabilities, dtype=np.float64)
    if given.shape != (rows, len(OUTCOMES)):
        raise ComparisonsError(
            f"The probabilities have the shape {given.shape} and the pairs are {rows:,}: "
            f"give [{rows}, {len(OUTCOMES)}], over (first wins, second wins, tie)."
        )
    wrong = ~(np.isfinite(given) & (given >= 0)).all(axis=1) | (np.abs(given.sum(axis=1) - 1) > SUM_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ComparisonsError(
            f"Comparison {row} has the probabilities {given[row].tolist()}, which sum to {given[row].sum():.6g}: "
            "give three finite numbers of at least 0 that sum to 1."
        )
    if tie_model != "bradley-terry":
        return given
    tied = np.flatnonzero(given[:, 2] > SUM_TOLERANCE)
    if tied.size:
        row = int(tied[0])
        raise ComparisonsError(
            f"Comparison {row} has a tie's probability of {given[row, 2]:.6g}, and Bradley and Terry's model knows no "
            "ties: take davidson or rao-kupper, or give half of the tie to each side."
        )
    # What a softmax leaves of a tie would be infinitely surprising.
    return np.where([True, True, False], given, 0.0)


def _check_linked(count: int, first: NDArray[np.intp], second: NDArray[np.intp]) -> None:
    """Rewards of groups never compared with each other would differ by the prior's choice alone."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    groups, group_of = connected_components(edges, directed=False)
    if groups == 1:
        return
    members = [np.flatnonzero(group_of == group) for group in range(groups)]
    raise ComparisonsError(
        f"The comparisons leave {groups:,} groups of answers that are not linked: "
        f"{_listed([_listed([str(i) for i in m], ', ') for m in members], ' | ')}. "
        f"Compare answers across them, such as {members[0][0]} and {members[1][0]}."
    )


def _listed(names: list[str], between: str) -> str:
    """The first names, and how many more there are."""
    more = f"{between}and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return between.join(names[:SHOWN]) + more
