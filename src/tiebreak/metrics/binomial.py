"""Binomial confidence limits for sample sizes that need not be whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIZE: Final = 1e10
"""Larger samples count as this one, whose intervals are at most 0.00002 wide: the beta function is slow above."""

BISECTIONS: Final = 36
"""Limits are exact to 1e-11."""


def binomial_limits(
    shares: NDArray[np.float64], sizes: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mid-P confidence limits of proportions.

    The limits are those p at which P(X > x) + P(X = x) / 2 is (1 - level) / 2 and (1 + level) / 2 (H. O. Lancaster
    (1961), "Significance tests in discrete distributions"; A. Agresti and A. Gottard (2007), "Nonconservative exact
    small-sample inference for discrete data"). The exact limits of C. J. Clopper and E. S. Pearson (1934), which
    count P(X = x) in full, are wider and hold the truth more often than they say.

    Args:
        shares: [M], observed, between 0 and 1; the limits of NaN are NaN.
        sizes: [M], the numbers of trials, positive.
        level: the confidence level.
    """
    sizes = np.minimum(sizes, MAX_SIZE)
    successes = shares * sizes
    tail = (1 - level) / 2
    low, high = _solve(successes, sizes, np.array([[tail], [1 - tail]]))
    low, high = np.where(shares <= 0, 0.0, low), np.where(shares >= 1, 1.0, high)
    undefined = ~(np.isfinite(shares) & np.isfinite(sizes))
    low, high = (np.where(undefined, np.nan, limit) for limit in (low, high))
    return np.minimum(low, shares), np.maximum(high, shares)


def _solve(
    successes: NDArray[np.float64], sizes: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The p at which the mid-P tail, which grows with p, is each of the targets [2, 1]; by bisection. [2, M]"""
    low = np.zeros((len(targets), len(successes)))
    high = np.ones(low.shape)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = (_at_least(successes, sizes, middle) + _at_least(successes + 1, sizes, middle)) / 2 < targets
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    root: NDArray[np.float64] = (low + high) / 2
    return root


def _at_least(
    successes: NDArray[np.float64], sizes: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    """P(X >= successes) of a binomial variable, by the incomplete beta function."""
    from scipy.special import betainc

    failures = sizes - successes + 1
    inside = betainc(np.maximum(successes, 1e-12), np.maximum(failures, 1e-12), p)
    return np.where(successes <= 0, 1.0, np.where(failures <= 0, 0.0, inside))
