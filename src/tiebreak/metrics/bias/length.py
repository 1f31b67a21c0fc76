"""Length bias: preference for the longer answer, and win rates at equal length.

Dimensions below: R rows, L = 3 logits, C = 4 coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.metrics.bias.preference import (
    Estimates,
    Preference,
    answer_texts,
    oriented_rates,
    preference_of,
    validate_amounts,
    win_rate,
)
from tiebreak.metrics.intervals import Estimate, GroupedRows, divide, normal_quantile, t_quantile
from tiebreak.metrics.log_loss import right_and_wrong, validate_rows
from tiebreak.types import OUTCOMES, Comparison, Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LENGTH_BINS: Final = 8

MIN_DEVIATION: Final = 1e-10
"""Smaller standard deviations are rounding errors of 0."""

RIDGE: Final = 0.01
"""Precision of the Gaussian prior on the coefficients, which keeps them finite if few rows separate the outcomes."""


@dataclass(frozen=True, slots=True)
class LengthBin(Estimates):
    """Rows whose answers differ in length by a similar amount."""

    lower: float
    upper: float
    rows: int
    difference: float
    """Mean of (longer - shorter) / (longer + shorter)."""
    judge: Estimate
    """Win rate of the longer answer by the judge; a tie counts half."""
    people: Estimate
    """The same by the votes."""


@dataclass(frozen=True, slots=True)
class LengthBias(Estimates):
    """Preference for the longer answer. See `length_bias`."""

    longer: Preference
    """Win rate of the longer answer over the rows whose answers differ in length."""
    bins: tuple[LengthBin, ...]
    correlation: dict[str, Estimate]
    """Pearson correlation of the relative length difference with P(A) - P(B), of the `judge` and of `people`."""
    slope: dict[str, Estimate]
    """The coefficient phi of the length difference, in nats, of the `judge`, of `people`, and their difference
    `excess`."""
    controlled: dict[str, dict[str, Estimate]]
    """Length-controlled probabilities of each outcome, of the `judge` and of `people`."""
    controlled_win_rate: dict[str, Estimate]
    """Length-controlled win rate of A, P(A) + P(tie)/2, of the `judge` and of `people`."""
    win_rate: dict[str, Estimate]
    """Win rate of A without length control, for comparison."""


def length_bias(
    probabilities: ArrayLike,
    votes: Sequence[Vote | None],
    lengths_a: ArrayLike,
    lengths_b: ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    weights: ArrayLike | None = None,
    bins: int = LENGTH_BINS,
    level: float = 0.95,
) -> LengthBias:
    """Measure how much a judge prefers the longer answer, and how much more than the voters do.

    The relative length difference is t = (a - b) / (a + b), between -1 and 1, which equals tanh(log(a / b) / 2). It
    changes sign when A and B are swapped, and does not depend on the unit. It is 0 for two empty answers.

    The length-controlled rates follow Y. Dubois et al. (2024), "Length-controlled AlpacaEval: a simple way to debias
    automatic evaluators": fit a generalised linear model of the preference with a length term, and predict with that
    term at 0. Three outcomes need three logits,

        A: alpha + phi t,    B: beta - phi t,    tie: psi |t|.

    This is a multinomial logistic regression with the judge's probabilities (or the votes) as soft labels. The
    length-controlled probabilities are softmax(alpha, beta, 0), and phi is `slope`. alpha and beta replace the quality
    terms of AlpacaEval: if all rows have the answers of one model as A, the result is the length-controlled win rate of
    that model. Intervals of the fits are from the sandwich variance over groups (K.-Y. Liang and S. L. Zeger (1986),
    "Longitudinal data analysis using generalized linear models").

    Args:
        probabilities: [rows, 3] over `OUTCOMES`.
        votes: [rows].
        lengths_a: [rows], the length of A in any unit, such as characters.
        lengths_b: [rows], the length of B.
        groups: as in `GroupedRows`.
        weights: as in `GroupedRows`.
        bins: the number of bins of |t|, with about the same number of rows, or weight, each.
        level: as in `GroupedRows`.

    Raises:
        ComparisonsError: as in `evaluate`, or a length is negative, not finite or missing.
    """
    p, targets = validate_rows(probabilities, votes)
    a, b = validate_amounts("lengths", lengths_a, lengths_b, len(p))
    grouped = GroupedRows(len(p), groups, level=level, weights=weights)
    t = np.divide(a - b, a + b, out=np.zeros_like(a), where=a + b > 0)
    rates = np.stack([win_rate(p), win_rate(targets)], axis=1)
    slopes, controlled = _length_controlled({"judge": p, "people": targets}, t, grouped)
    return LengthBias(
        preference_of(rates, np.sign(t), grouped),
        _length_bins(rates, t, bins, grouped),
        dict(zip(("judge", "people"), _correlations(t, rates, grouped), strict=True)),
        slopes,
        {who: {outcome: rate[outcome] for outcome in OUTCOMES} for who, rate in controlled.items()},
        {who: rate["win_rate"] for who, rate in controlled.items()},
        dict(zip(("judge", "people"), grouped.proportions(rates), strict=True)),
    )


def answer_lengths(comparisons: Sequence[Comparison]) -> tuple[list[int], list[int]]:
    """Characters of the replies of A and of B, [rows] each, without a shared history."""
    answers = [answer_texts(c) for c in comparisons]
    return [sum(map(len, a)) for a, _ in answers], [sum(map(len, b)) for _, b in answers]


def _length_bins(
    rates: NDArray[np.float64], t: NDArray[np.float64], bins: int, grouped: GroupedRows
) -> tuple[LengthBin, ...]:
    size = np.abs(t)
    if not size.any():
        return ()
    shares, weights = np.linspace(0, 1, bins + 1), _where(size > 0, grouped)
    edges = np.unique(np.quantile(size[size > 0], shares, weights=weights, method="inverted_cdf"))
    edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    bin_of_row = np.where(size > 0, np.searchsorted(edges[1:-1], size, side="left"), -1)
    inside = (bin_of_row[:, None] == np.arange(len(edges) - 1)).astype(np.float64)
    oriented = oriented_rates(rates, np.sign(t))
    numerators = np.concatenate([inside * oriented[:, :1], inside * oriented[:, 1:]], axis=1)
    estimates = grouped.proportions(numerators, np.tile(inside, 2))
    return tuple(
        LengthBin(
            float(edges[i]),
            float(edges[i + 1]),
            int(inside[:, i].sum()),
            float(np.average(size[bin_of_row == i], weights=_where(bin_of_row == i, grouped))),
            estimates[i],
            estimates[len(edges) - 1 + i],
        )
        for i in range(len(edges) - 1)
        if inside[:, i].any()
    )


def _where(chosen: NDArray[np.bool_], grouped: GroupedRows) -> NDArray[np.float64] | None:
    """The weights of the chosen rows."""
    return None if grouped.weights is None else grouped.weights[chosen]


def _correlations(t: NDArray[np.float64], rates: NDArray[np.float64], grouped: GroupedRows) -> list[Estimate]:
    """Pearson correlation of t [rows] with each column of `rates` [rows, 2].

    It is also the correlation with P(A) - P(B), which is 2 * rate - 1.
    """
    x, y = t - grouped.average(t), rates - grouped.average(rates)
    deviations = np.sqrt(np.stack([grouped.average(x**2) * np.ones(2), grouped.average(y**2)]))
    deviations[deviations < MIN_DEVIATION] = 0
    x, y = divide(x[:, None], deviations[:1]), divide(y, deviations[1:])
    values = grouped.average(x * y)
    # Fisher's z = artanh(r) is closer to a normal variable than r is, and its interval stays between -1 and 1.
    influence = grouped.weigh(x * y - values * (x**2 + y**2) / 2) / grouped.total
    squares = np.maximum(1 - values**2, MIN_DEVIATION)
    half = t_quantile(grouped.level, grouped.groups - 2) * np.sqrt(grouped.variances(influence, parameters=2)) / squares
    z = np.arctanh(np.clip(values, -1 + MIN_DEVIATION, 1 - MIN_DEVIATION))
    return [
        Estimate(*ends)
        for ends in zip(values.tolist(), np.tanh(z - half).tolist(), np.tanh(z + half).tolist(), strict=True)
    ]


def _length_controlled(
    labels: Mapping[str, NDArray[np.float64]], t: NDArray[np.float64], grouped: GroupedRows
) -> tuple[dict[str, Estimate], dict[str, dict[str, Estimate]]]:
    """The slopes of the fits to each set of labels [R, L] and their difference, and the probabilities at t = 0."""
    from scipy.special import softmax

    one, zero = np.ones_like(t), np.zeros_like(t)
    logits = ((one, zero, t, zero), (zero, one, -t, zero), (zero, zero, zero, np.abs(t)))
    design = np.stack([np.stack(row, axis=1) for row in logits], axis=1)  # [R, L, C]
    fits = [_fit(design, soft, grouped) for soft in labels.values()]
    probabilities, influences = {}, {}
    slopes, of_slopes, curvature_inverses = [], [], []
    for (who, soft), fit in zip(labels.items(), fits, strict=True):
        gradient, curvature = map(grouped.weigh, _derivatives(design, soft, fit))
        inverse = np.linalg.inv(curvature.sum(axis=0) + RIDGE * np.eye(len(fit)))
        curvature_inverses.append(inverse)
        of_fit = gradient @ inverse
        p = softmax([fit[0], fit[1], 0.0])
        of_p = of_fit[:, :2] @ (np.diag(p) - np.outer(p, p))[:2]
        probabilities[who] = np.append(p, p[0] + p[2] / 2)
        influences[who] = np.column_stack([of_p, of_p[:, 0] + of_p[:, 2] / 2])
        slopes.append(fit[2])
        of_slopes.append(of_fit[:, 2])
    parameters = design.shape[2]
    slope_influence = np.stack([*of_slopes, of_slopes[0] - of_slopes[1]], axis=1)
    variances = grouped.variances(slope_influence, parameters=parameters)
    variances[2] += _rare_variance(design, labels, curvature_inverses[1][2], grouped)
    errors = np.sqrt(variances)
    estimates = grouped.t_estimates(np.array([*slopes, slopes[0] - slopes[1]]), errors, grouped.groups - parameters)
    controlled = {
        who: dict(
            zip(
                (*OUTCOMES, "win_rate"),
                grouped.smooth_proportions(p, influences[who], parameters=parameters),
                strict=True,
            )
        )
        for who, p in probabilities.items()
    }
    return dict(zip((*labels, "excess"), estimates, strict=True)), controlled


def _rare_variance(
    design: NDArray[np.float64],
    labels: Mapping[str, NDArray[np.float64]],
    of_gradient: NDArray[np.float64],
    grouped: GroupedRows,
) -> float:
    """The variance of the slope's excess from groups whose votes are for the judge's second outcome, not its first.

    Votes that differ from a confident judge are few, and a sample without one has next to no variance. As in
    `GroupedRows.means`, z^2 / 2 groups of average size have such votes.

    Args:
        design: [R, L, C].
        labels: the probabilities of the `judge` and the votes of `people`, [R, L].
        of_gradient: [C], the influence on the slope of a row's gradient.
        grouped: the same rows.
    """
    right, wrong = right_and_wrong(labels["judge"], labels["people"])
    changes = np.einsum("rl,rlc->rc", wrong - right, design) @ of_gradient
    size = grouped.total / grouped.groups
    return float(normal_quantile(grouped.level) ** 2 / 2 * size**2 * grouped.average(changes**2))


def _fit(design: NDArray[np.float64], soft: NDArray[np.float64], grouped: GroupedRows) -> NDArray[np.float64]:
    """Coefficients [C] of the multinomial logistic regression, with a ridge penalty of `RIDGE`."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    def loss(at: NDArray[np.float64]) -> float:
        return float(-grouped.weigh(soft * log_softmax(design @ at, axis=1)).sum() + RIDGE / 2 * at @ at)

    def gradient(at: NDArray[np.float64]) -> NDArray[np.float64]:
        of_loss: NDArray[np.float64] = RIDGE * at - grouped.weigh(_derivatives(design, soft, at)[0]).sum(axis=0)
        return of_loss

    def hessian(at: NDArray[np.float64]) -> NDArray[np.float64]:
        curvature = grouped.weigh(_derivatives(design, soft, at)[1]).sum(axis=0)
        of_loss: NDArray[np.float64] = curvature + RIDGE * np.eye(len(at))
        return of_loss

    start = np.zeros(design.shape[2])
    result = minimize(loss, start, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
    return np.asarray(result.x, dtype=np.float64)


def _derivatives(
    design: NDArray[np.float64], soft: NDArray[np.float64], at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each row the gradient [R, C] and the negative Hessian [R, C, C] of the log-likelihood."""
    from scipy.special import softmax

    p = softmax(design @ at, axis=1)
    gradient = np.einsum("rl,rlc->rc", soft - p, design)
    mean = np.einsum("rl,rlc->rc", p, design)
    curvature = np.einsum("rl,rlc,rld->rcd", p, design, design, optimize=True) - mean[:, :, None] * mean[:, None, :]
    return gradient, curvature
