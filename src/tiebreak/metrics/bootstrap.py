"""Confidence intervals by the bootstrap over groups of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.metrics.cross_validation import number_groups

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Measure = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """Maps the weights of the groups in n resamples, [n, groups], to the values of the metrics, [n, metrics]."""
    Bounds = tuple[ArrayLike, ArrayLike]

BATCH_VALUES = 2_000_000
"""Weights that are in memory at a time: 16 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its confidence interval, which is NaN if all rows belong to one group."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """A JSON object; NaN becomes null."""
        values = {"value": self.value, "low": self.low, "high": self.high}
        return {name: value if isfinite(value) else None for name, value in values.items()}


class Bootstrap:
    """Resamples groups of rows with replacement and computes metrics on each resample.

    Votes on one prompt are not independent, so resampling single rows would give intervals that are too narrow. The
    cluster bootstrap (A. C. Davison and D. V. Hinkley (1997), "Bootstrap methods and their application", section 3.8)
    resamples groups instead. An interval contains the central `level` of the resampled values, shifted so that their
    mean equals the estimate. The shift is zero for means; it matters for calibration errors, which grow with noise, and
    resampling adds noise.

    A resample is a weight for each group. Metrics that are functions of sums over rows (means, calibration errors,
    correlations) need one matrix product for many resamples; rows are never copied.

    Args:
        rows: the number of rows.
        groups: [rows], the key of each row's group, such as `Comparison.folded_prompt`; None if rows are independent.
        resamples: the number of resamples. With 1,000, the ends of a 95 % interval have an error of about a tenth of
            its half width.
        seed: the seed of the resamples. With `groups`, the resamples do not depend on the order of the rows.
        level: the confidence level, between 0 and 1.

    Raises:
        ComparisonsError: there are no rows, `groups` has another length, or `resamples` or `level` is out of range.
    """

    def __init__(
        self,
        rows: int,
        groups: Sequence[str] | None = None,
        *,
        resamples: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> None:
        if not rows:
            raise ComparisonsError("There are no rows to evaluate: give at least one comparison with a vote.")
        if groups is not None and len(groups) != rows:
            raise ComparisonsError(
                f"There are {len(groups):,} groups for {rows:,} rows: give one group per row, or None."
            )
        if resamples < 1 or not 0 < level < 1:
            raise ComparisonsError(
                f"resamples is {resamples} and level is {level}: give at least 1 resample and a level between 0 and 1."
            )
        self.rows = rows
        self.resamples = resamples
        self.level = level
        self._seed = seed
        if groups is None:
            self.groups, self.codes = rows, np.arange(rows)
        else:
            self.codes = number_groups(groups)
            self.groups = int(self.codes.max()) + 1

    def group_sums(self, statistics: Any) -> Any:
        """Sums of dense or sparse statistics [rows, S] over the rows of each group, sparse [groups, S]."""
        from scipy import sparse

        membership = sparse.csr_array(
            (np.ones(self.rows), (self.codes, np.arange(self.rows))), (self.groups, self.rows)
        )
        return membership @ sparse.csr_array(statistics)

    def estimates(self, measure: Measure, *, bounds: Bounds = (-np.inf, np.inf)) -> list[Estimate]:
        """Each metric on all rows, with its interval. Resamples where a metric is NaN are ignored.

        Args:
            measure: see `Measure`.
            bounds: the range of the metrics: numbers, or arrays [metrics].
        """
        [values] = measure(np.ones((1, self.groups)))
        if self.groups == 1:
            return [Estimate(value, np.nan, np.nan) for value in values.tolist()]
        resampled = np.concatenate([measure(weights) for weights in self._draw_weights()])
        tail = (1 - self.level) / 2
        estimates = []
        limits = [np.broadcast_to(bound, len(values)).tolist() for bound in bounds]
        for value, draws, minimum, maximum in zip(values.tolist(), resampled.T, *limits, strict=True):
            finite = draws[np.isfinite(draws)]
            if not (finite.size and isfinite(value)):
                estimates.append(Estimate(value, np.nan, np.nan))
                continue
            low, high = value + np.quantile(finite, [tail, 1 - tail]) - finite.mean()
            low, high = max(float(min(low, value)), minimum), min(float(max(high, value)), maximum)
            estimates.append(Estimate(value, low, high))
        return estimates

    def ratios(
        self,
        numerators: ArrayLike,
        denominators: ArrayLike | None = None,
        *,
        bounds: Bounds = (-np.inf, np.inf),
    ) -> list[Estimate]:
        """Ratios of column sums: means, or means over the rows that a 0/1 denominator selects.

        Args:
            numerators: [rows, M].
            denominators: [rows, M] or [rows, 1]; None for ones.
            bounds: as in `estimates`.
        """
        above = np.asarray(numerators, dtype=np.float64)
        below = np.ones((self.rows, 1)) if denominators is None else np.asarray(denominators, dtype=np.float64)
        width = above.shape[1]
        sums = self.group_sums(np.concatenate([above, below], axis=1))

        def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            totals = weights @ sums
            return divide(totals[:, :width], totals[:, width:])

        return self.estimates(measure, bounds=bounds)

    def _draw_weights(self) -> Iterator[NDArray[np.float64]]:
        """How often each group is in each resample, in batches [n, groups]."""
        rng = np.random.default_rng(self._seed)
        batch_size = max(1, BATCH_VALUES // self.rows)
        for first in range(0, self.resamples, batch_size):
            n = min(batch_size, self.resamples - first)
            drawn = rng.integers(self.groups, size=(n, self.groups))
            drawn += np.arange(n)[:, None] * self.groups
            counts = np.bincount(drawn.ravel(), minlength=n * self.groups)
            yield counts.reshape(n, self.groups).astype(np.float64)


def divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient, NaN where the denominator is 0."""
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    quotient: NDArray[np.float64] = np.divide(numerator, denominator, out=undefined, where=denominator != 0)
    return quotient
