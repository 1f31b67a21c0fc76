"""Paired-comparison models with ties: from two rewards to probabilities over (A, B, tie).

The probabilities depend on the rewards only through the gap r_A - r_B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TieModel = Literal["davidson", "rao-kupper", "bradley-terry"]
"""How the probability of a tie depends on two rewards; see `outcome_logits`."""


def outcome_logits(
    reward_a: ArrayLike, reward_b: ArrayLike, tie_model: TieModel, tie_parameter: float
) -> NDArray[np.float64]:
    """Logits over `OUTCOMES` for comparisons of answers with these rewards; their softmax is the probabilities.

    davidson
        P(A) = e^r_A / Z, P(B) = e^r_B / Z, P(tie) = nu e^((r_A + r_B)/2) / Z, where Z is the sum of the three
        numerators and nu = e^tie_parameter >= 0. The logits are (r_A, r_B, (r_A + r_B)/2 + tie_parameter).
        R. R. Davidson (1970), "On extending the Bradley-Terry model to accommodate ties in paired comparison
        experiments", JASA 65, 317-328.
    rao-kupper
        P(A) = e^r_A / (e^r_A + theta e^r_B), P(B) = e^r_B / (e^r_B + theta e^r_A), and the rest is
        P(tie) = (theta^2 - 1) e^(r_A + r_B) / ((e^r_A + theta e^r_B) (e^r_B + theta e^r_A)). An answer wins if its lead
        plus logistic noise exceeds the threshold eta = log theta >= 0. Here eta = softplus(tie_parameter), so
        theta = 1 + e^tie_parameter. The logits are log-probabilities.
        P. V. Rao and L. L. Kupper (1967), "Ties in paired-comparison experiments: a generalization of the
        Bradley-Terry model", JASA 62, 194-204.
    bradley-terry
        P(A) = e^r_A / (e^r_A + e^r_B), P(tie) = 0: the logit of a tie is -inf, and tie_parameter is ignored.
        R. A. Bradley and M. E. Terry (1952), "Rank analysis of incomplete block designs: I. The method of paired
        comparisons", Biometrika 39, 324-345.

    With a tie_parameter of 0, equal answers win, lose and tie with probability 1/3 each in both models with ties.

    Args:
        reward_a: [n], in nats.
        reward_b: [n], in nats.
        tie_model: one of the models above.
        tie_parameter: any real number; larger values give more ties.

    Returns:
        float64 [n, 3]. Swapping the rewards swaps the first two columns exactly.

    >>> outcome_logits([2.0], [1.0], "davidson", 0.5)
    array([[2., 1., 2.]])
    """
    a, b = np.asarray(reward_a, dtype=np.float64), np.asarray(reward_b, dtype=np.float64)
    match tie_model:
        case "davidson":
            return np.stack([a, b, (a + b) / 2 + tie_parameter], axis=-1)
        case "rao-kupper":
            gap = a - b
            threshold = np.logaddexp(0.0, tie_parameter)
            log_a, log_b = -np.logaddexp(0.0, threshold - gap), -np.logaddexp(0.0, threshold + gap)
            # P(tie) = (theta^2 - 1) P(A) P(B), and theta^2 - 1 = e^t (2 + e^t), which avoids cancellation.
            # log_a + log_b is added last, so that the sum is exactly symmetric.
            log_tie = tie_parameter + np.logaddexp(np.log(2.0), tie_parameter) + (log_a + log_b)
            return np.stack([log_a, log_b, log_tie], axis=-1)
        case "bradley-terry":
            return np.stack([a, b, np.full_like(a, -np.inf)], axis=-1)
        case _:
            assert_never(tie_model)


def tie_parameter_of(share: float) -> float:
    """The tie parameter with which equal answers tie with this probability, in both models with ties.

    The probability is nu / (nu + 2) for Davidson, and (theta - 1) / (theta + 1) with theta = 1 + e^tie_parameter for
    Rao and Kupper, which is the same function of the tie parameter.

    >>> round(tie_parameter_of(0.5), 3), round(tie_parameter_of(0.1), 3)
    (0.693, -1.504)
    """
    return float(np.log(2 * share) - np.log1p(-share))


def log_probability_gradients(
    log_probabilities: NDArray[np.float64], tie_model: TieModel, tie_parameter: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Derivatives of the log-probabilities by the reward gap and by the tie parameter.

    Args:
        log_probabilities: [n, 3] over `OUTCOMES`, the `log_softmax` of `outcome_logits`.
        tie_model: as in `outcome_logits`.
        tie_parameter: as in `outcome_logits`.

    Returns:
        Derivatives by r_A - r_B and by the tie parameter, float64 [n, 3] each; 0 for an outcome of probability 0.
    """
    from scipy.special import expit

    p_a, p_b, p_tie = np.moveaxis(np.exp(log_probabilities), -1, 0)
    zero = np.zeros_like(p_a)
    match tie_model:
        case "davidson":
            # The derivative of a log-softmax is that of the logit minus its mean over the outcomes.
            mean = (p_a - p_b) / 2
            by_gap = np.stack([0.5 - mean, -0.5 - mean, -mean], axis=-1)
            by_tie = np.stack([-p_tie, -p_tie, 1 - p_tie], axis=-1)
        case "rao-kupper":
            by_gap = np.stack([1 - p_a, p_b - 1, p_b - p_a], axis=-1)
            threshold_slope = expit(tie_parameter)  # of eta = softplus(t)
            by_tie_a, by_tie_b = (p_a - 1) * threshold_slope, (p_b - 1) * threshold_slope
            factor_slope = 1 + expit(tie_parameter - np.log(2.0))  # of log(theta^2 - 1) = t + log(2 + e^t)
            by_tie = np.stack([by_tie_a, by_tie_b, factor_slope + by_tie_a + by_tie_b], axis=-1)
        case "bradley-terry":
            by_gap = np.stack([1 - p_a, p_b - 1, zero], axis=-1)
            by_tie = np.stack([zero, zero, zero], axis=-1)
        case _:
            assert_never(tie_model)
    return by_gap, by_tie
