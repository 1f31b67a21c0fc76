"""Which answer is longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.metrics.bias.length_controlled import length_controlled
from tiebreak.metrics.bias.preference import (
    Estimates,
    Preference,
    answer_texts,
    oriented_rates,
    preference_of,
    validate_amounts,
    win_rate,
)
from tiebreak.metrics.bootstrap import Bootstrap, Estimate, divide
from tiebreak.metrics.log_loss import validate_rows
from tiebreak.types import OUTCOMES, Comparison, Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LENGTH_BINS: Final = 8


@dataclass(frozen=True, slots=True)
class LengthBin(Estimates):
    """Rows whose answers differ in length by about as much."""

    lower: float
    upper: float
    rows: int
    difference: float
    """Mean of (longer - shorter) / (longer + shorter)."""
    judge: Estimate
    """The longer answer's win rate, ties half."""
    people: Estimate


@dataclass(frozen=True, slots=True)
class LengthBias(Estimates):
    """How much the longer answer is preferred. See `length_bias`."""

    longer: Preference
    """The longer answer's win rate over rows whose answers differ in length."""
    bins: tuple[LengthBin, ...]
    correlation: dict[str, Estimate]
    """Pearson's, of the relative difference in length with P(A) - P(B): the `judge`'s, the `people`'s."""
    slope: dict[str, Estimate]
    """Nats that A gains and B loses where A is all there is: the `judge`'s, the `people`'s, and their difference as
    `excess`."""
    controlled: dict[str, dict[str, Estimate]]
    """Length-controlled probabilities of each outcome: the `judge`'s, the `people`'s."""
    controlled_win_rate: dict[str, Estimate]
    """A's win rate at equal lengths, P(A) + P(tie)/2: the `judge`'s, the `people`'s."""
    win_rate: dict[str, Estimate]
    """A's win rate as it is, to compare with."""


def length_bias(
    probabilities: ArrayLike,
    votes: Sequence[Vote | None],
    lengths_a: ArrayLike,
    lengths_b: ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    bins: int = LENGTH_BINS,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> LengthBias:
    """How much a judge prefers the longer answer, and how much of that people do not.

    The relative difference in length is t = (a - b) / (a + b), from -1 to 1, which is tanh(log(a / b) / 2): it turns
    its sign with the sides, and does not depend on how long both are. Two empty answers differ by 0.

    The length-controlled rates follow Y. Dubois et al. (2024), "Length-controlled AlpacaEval: a simple way to debias
    automatic evaluators": a generalised linear model of the preference with a length term is fitted, and read with
    that term at 0. Here there are three outcomes, and so three logits,

        A: alpha + phi t,    B: beta - phi t,    tie: psi |t|,

    a multinomial logistic regression on the judge's probabilities (or on the votes) as soft labels; the length-
    controlled probabilities are softmax(alpha, beta, 0), and phi is `slope`. Their models' quality terms become
    alpha and beta: A and B are whoever answered, so `controlled` says what side wins at equal lengths. (Give the rows
    of one model with that model as A, and it is the model's length-controlled win rate.) Intervals of the fits are of
    one Newton step a draw from the estimate on all rows (R. Davidson and J. G. MacKinnon (1999), "Bootstrap testing
    in nonlinear models"), which needs sums over rows only.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`.
        votes: [rows].
        lengths_a: [rows], A's length in any unit, such as characters.
        lengths_b: [rows], B's.
        groups: as in `Bootstrap`.
        bins: of as many rows each, by the size of the difference.
        resamples: as in `Bootstrap`.
        seed: as in `Bootstrap`.
        level: as in `Bootstrap`.

    Raises:
        ComparisonsError: as `evaluate`; or a length is negative, not finite, or missing.
    """
    given, target = validate_rows(probabilities, votes)
    a, b = validate_amounts(lengths_a, lengths_b, len(given))
    bootstrap = Bootstrap(len(given), groups, resamples=resamples, seed=seed, level=level)
    t = np.divide(a - b, a + b, out=np.zeros_like(a), where=a + b > 0)
    rates = np.stack([win_rate(given), win_rate(target)], axis=1)
    slopes, controlled = length_controlled({"judge": given, "people": target}, t, bootstrap)
    return LengthBias(
        preference_of(rates, np.sign(t), bootstrap),
        _length_bins(rates, t, bins, bootstrap),
        dict(zip(("judge", "people"), _correlations(t, rates, bootstrap), strict=True)),
        slopes,
        {who: {o: found[o] for o in OUTCOMES} for who, found in controlled.items()},
        {who: found["win_rate"] for who, found in controlled.items()},
        dict(zip(("judge", "people"), bootstrap.ratios(rates, bounds=(0.0, 1.0)), strict=True)),
    )


def answer_lengths(comparisons: Sequence[Comparison]) -> tuple[list[int], list[int]]:
    """Characters of A's replies and of B's, [rows] each; of a history that both share, nothing."""
    own = [answer_texts(c) for c in comparisons]
    return [sum(map(len, a)) for a, _ in own], [sum(map(len, b)) for _, b in own]


def _length_bins(
    rates: NDArray[np.float64], t: NDArray[np.float64], bins: int, bootstrap: Bootstrap
) -> tuple[LengthBin, ...]:
    size = np.abs(t)
    if not size.any():
        return ()
    edges = np.unique(np.quantile(size[size > 0], np.linspace(0, 1, bins + 1), method="inverted_cdf"))
    edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    number = np.where(size > 0, np.searchsorted(edges[1:-1], size, side="left"), -1)
    inside = (number[:, None] == np.arange(len(edges) - 1)).astype(np.float64)
    turned = oriented_rates(rates, np.sign(t))
    both = np.concatenate([inside * turned[:, :1], inside * turned[:, 1:]], axis=1)
    estimates = bootstrap.ratios(both, np.tile(inside, 2), bounds=(0.0, 1.0))
    return tuple(
        LengthBin(
            float(edges[i]),
            float(edges[i + 1]),
            int(inside[:, i].sum()),
            float(size[number == i].mean()),
            estimates[i],
            estimates[len(edges) - 1 + i],
        )
        for i in range(len(edges) - 1)
        if inside[:, i].any()
    )


def _correlations(t: NDArray[np.float64], rates: NDArray[np.float64], bootstrap: Bootstrap) -> list[Estimate]:
    """Pearson's of t with both columns; with 2 * rate - 1 = P(A) - P(B), too, which is on a line with the rate."""
    x, y = t[:, None], rates
    sums = bootstrap.group_sums(np.concatenate([np.ones_like(x), x, x * x, y, y * y, x * y], axis=1))

    def measure(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        total = counts @ sums
        means = total[:, 1:] / total[:, :1]
        x1, x2, y1, y2, xy = means[:, :1], means[:, 1:2], means[:, 2:4], means[:, 4:6], means[:, 6:8]
        spread = np.maximum(x2 - x1**2, 0) * np.maximum(y2 - y1**2, 0)
        return divide(xy - x1 * y1, np.sqrt(np.where(spread > 1e-20, spread, 0)))

    return bootstrap.estimates(measure, bounds=(-1.0, 1.0))
