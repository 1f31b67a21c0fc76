"""Fitting Davidson's tie parameter to votes on answers whose rewards are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiebreak.ranking.tie_models import outcome_logits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def fit_tie_parameter(rewards: ArrayLike, votes: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The tie parameter of R. R. Davidson (1970) that suits rewards which were learned without ties.

    Such rewards may be too sharp or too flat for these votes, and both change how often close answers tie. So a
    temperature is fitted with the parameter, by maximum likelihood with weak Gaussian priors (deviation 3), and the
    parameter is returned in the units of the rewards: a later temperature scaling finds the temperature again.

    Args:
        rewards: [n, 2], of A and B, in nats.
        votes: [n, 3], the shares of the vote for A, B and a tie.
        weights: [n], how many votes each counts as; None if each counts as one.

    Returns:
        The parameter of `outcome_logits` with `davidson`.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    rewards, targets = np.asarray(rewards, dtype=np.float64), np.asarray(votes, dtype=np.float64)
    if weights is not None:
        targets = targets * np.asarray(weights, dtype=np.float64)[:, None]

    def loss(parameters: NDArray[np.float64]) -> float:
        log_temperature, tie = parameters
        a, b = (rewards / np.exp(log_temperature)).T
        log_probabilities = log_softmax(outcome_logits(a, b, "davidson", tie), axis=-1)
        prior = float(parameters @ parameters) / (2 * 3.0**2)
        return prior - float((targets * log_probabilities).sum())

    log_temperature, tie = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-6, 6), (-20, 20)]).x
    return float(tie * np.exp(log_temperature))
