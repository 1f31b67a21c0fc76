"""Confidence intervals for means, proportions and smooth statistics of rows in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.metrics.binomial import binomial_limits
from tiebreak.metrics.cross_validation import number_groups
from tiebreak.weights import total_weight, validate_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Bounds = tuple[ArrayLike, ArrayLike]

MIN_VARIANCE = 1e-20
"""Smaller variances of a mean are rounding errors of 0."""

MIN_GROUPS = 5
"""Fewer groups do not estimate the variance of shares that are not counts: each then counts as one binary trial, which
has the largest variance that a share can have."""


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


class GroupedRows:
    """Rows in groups, such as the votes on one prompt, and intervals that allow for the dependence within a group.

    Votes on one prompt are not independent, so intervals from the variance of single rows would be too narrow. Here
    the variance of a statistic is the sum over groups of its squared influence, where the influence of a group is the
    sum of the influence of its rows ("ultimate clusters", linearised: W. A. Fuller (2009), "Sampling statistics",
    section 1.3; K.-Y. Liang and S. L. Zeger (1986), "Longitudinal data analysis using generalized linear models").
    Its degrees of freedom are the number of groups minus 1.

    - `proportions`: for values from 0 to 1. The binomial mid-P interval at the effective sample size (E. L. Korn and
      B. I. Graubard (1998), "Confidence intervals for proportions with small expected number of positive counts
      estimated from survey data"): p (1 - p) / var, which for 0/1 values is the number of rows over the design effect
      (L. Kish (1965), "Survey sampling").
    - `means`: for other values. The t interval, which may be shrunk towards values that are possible but rare.

    With weights the statistics are ratios of weighted sums, linearised as above. A weight that is the same in all rows
    changes no interval. Where counts are assumed to be binomial, the number of trials is the effective sample size of
    the weights, (sum w)^2 / sum w^2 (Kish 1965), and the design effect is that of the groups.

    Args:
        rows: the number of rows.
        groups: [rows], the key of each row's group, such as `Comparison.folded_prompt`; None if rows are independent.
        level: the confidence level, between 0 and 1.
        weights: [rows], above 0; None if all rows count the same.

    Raises:
        ComparisonsError: there are no rows, `groups` has another length, `level` is out of range, or as in
            `validate_weights`.
    """

    def __init__(
        self,
        rows: int,
        groups: Sequence[str] | None = None,
        *,
        level: float = 0.95,
        weights: ArrayLike | None = None,
    ) -> None:
        if not rows:
            raise ComparisonsError("There are no rows to evaluate: give at least one comparison with a vote.")
        if groups is not None and len(groups) != rows:
            raise ComparisonsError(
                f"There are {len(groups):,} groups for {rows:,} rows: give one group per row, or None."
            )
        if not 0 < level < 1:
            raise ComparisonsError(f"level is {level}: give a number between 0 and 1.")
        self.rows = rows
        self.level = level
        self.weights = validate_weights(weights, rows, positive=True)
        self.total = total_weight(self.weights, rows)
        self._codes = None if groups is None else number_groups(groups)
        self.groups = rows if self._codes is None else int(self._codes.max()) + 1

    def average(self, values: NDArray[Any], axis: int = 0) -> NDArray[np.float64]:
        """The weighted mean over the rows, which are the given axis."""
        return np.asarray(np.average(values, axis=axis, weights=self.weights), dtype=np.float64)

    def weigh(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values [rows, ...] times the weight of their row."""
        if self.weights is None:
            return values
        weighted: NDArray[np.float64] = values * self.weights.reshape(-1, *(1,) * (values.ndim - 1))
        return weighted

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the rows of each group, [rows, M] -> [groups, M]."""
        if self._codes is None:
            return values
        from scipy import sparse

        membership = sparse.csr_array((np.ones(self.rows), (self._codes, np.arange(self.rows))))
        by_group: NDArray[np.float64] = membership @ values
        return by_group

    def proportions(self, numerators: ArrayLike, denominators: ArrayLike | None = None) -> list[Estimate]:
        """Ratios of column sums that are between 0 and 1, with intervals that are inside (0, 1) at one end at least.

        Args:
            numerators: [rows, M], between 0 and the denominators.
            denominators: [rows, M] or [rows, 1]; None for ones. For a share of some rows, 1 for these and 0 for others.
        """
        above, below = _columns(numerators, denominators)
        counts = (above % 1 == 0).all(axis=0) & (below % 1 == 0).all(axis=0)
        binary = (above * (below - above) == 0).all(axis=0)
        ratios = self._ratios(above, below)
        values = ratios.values
        variances = np.maximum(ratios.variances(), MIN_VARIANCE)
        of_shares = divide(values * (1 - values), variances)
        effects = ratios.design_effects()
        effects = np.where(binary, np.maximum(effects, 1.0), effects)
        sizes = np.where(counts, divide(ratios.total, effects), of_shares)
        more, fewer = (t_quantile(self.level, np.maximum(n - 1, 1)) for n in (ratios.total, ratios.groups))
        # The variance is estimated. Groups may outnumber an effective sample of weighted rows, which stays as it is.
        sizes *= np.minimum(np.where(counts, more, normal_quantile(self.level)) / fewer, 1.0) ** 2
        sizes = np.where(~counts & (ratios.groups < MIN_GROUPS), ratios.groups, sizes)
        return self.proportion_estimates(values, np.where(ratios.groups == 1, 1.0, sizes))

    def smooth_proportions(
        self,
        values: NDArray[np.float64],
        influence: NDArray[np.float64],
        *,
        parameters: int = 1,
        degrees: ArrayLike = np.inf,
        extreme: ArrayLike = 1,
        added: ArrayLike = 0,
    ) -> list[Estimate]:
        """Statistics between 0 and 1 with mid-P intervals at the effective sample sizes of their variances.

        Args:
            values: [M].
            influence: [rows, M], of each row on the values.
            parameters: as in `variances`.
            degrees: [M], the degrees of freedom, if there are fewer than groups.
            extreme: [M], the effective sample sizes of values of 0 and 1, which have no variance.
            added: [M], variances to add for rare rows that the sample may lack.
        """
        variances = np.maximum(
            self.variances(influence, parameters=parameters) + np.asarray(added, dtype=np.float64), MIN_VARIANCE
        )
        freedom = np.clip(degrees, 1, max(self.groups - parameters, 1))
        lost = (normal_quantile(self.level) / t_quantile(self.level, freedom)) ** 2
        inside = (values > 0) & (values < 1)
        return self.proportion_estimates(values, np.where(inside, values * (1 - values) / variances * lost, extreme))

    def proportion_estimates(self, values: NDArray[np.float64], sizes: NDArray[np.float64]) -> list[Estimate]:
        """Proportions [M] with mid-P intervals at effective sample sizes [M]."""
        if self.groups == 1:
            return [Estimate(value, np.nan, np.nan) for value in values.tolist()]
        low, high = binomial_limits(values, sizes, self.level)
        return [Estimate(*ends) for ends in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)]

    def means(
        self,
        numerators: ArrayLike,
        denominators: ArrayLike | None = None,
        *,
        rare: ArrayLike | None = None,
        bounds: Bounds = (-np.inf, np.inf),
    ) -> list[Estimate]:
        """Ratios of column sums with t intervals.

        The log loss of a judge that is nearly always right depends on a few wrong rows. A sample without one has next
        to no variance, and its t interval would miss the mean. `rare` adds z^2 groups of average size, half with each
        value, to the centre and the variance of the interval, as A. Agresti and B. A. Coull (1998), "Approximate is
        better than 'exact' for interval estimation of binomial proportions", add z^2 / 2 successes and failures.
        With a variance that is not made by rare rows they change little. The estimate itself stays as it is.

        Args:
            numerators: [rows, M].
            denominators: as in `proportions`.
            rare: [2, M], values that a row can have, such as the mean log losses of being right and of being wrong.
            bounds: the range of the means: numbers, or arrays [M].
        """
        ratios = self._ratios(*_columns(numerators, denominators))
        with np.errstate(divide="ignore", invalid="ignore"):
            added = np.zeros((0, len(ratios.values))) if rare is None else np.asarray(rare, dtype=np.float64)
            weight = normal_quantile(self.level) ** 2 / 2
            size = divide(ratios.total, ratios.groups)
            total = ratios.total + weight * size * len(added)
            centre = (ratios.above.sum(axis=0) + weight * size * added.sum(axis=0)) / total
            squares = ((ratios.above - centre * ratios.below) ** 2).sum(axis=0)
            squares += weight * size**2 * ((added - centre) ** 2).sum(axis=0)
            errors = np.sqrt(squares * ratios.groups / (ratios.groups - 1)) / total
        return self.t_estimates(ratios.values, errors, ratios.groups - 1, centre=centre, bounds=bounds)

    def t_estimates(
        self,
        values: NDArray[np.float64],
        errors: NDArray[np.float64],
        degrees: ArrayLike,
        *,
        centre: NDArray[np.float64] | None = None,
        bounds: Bounds = (-np.inf, np.inf),
    ) -> list[Estimate]:
        """Values [M] with t intervals around them, or around `centre`, from standard errors; NaN without degrees."""
        if self.groups == 1:
            return [Estimate(value, np.nan, np.nan) for value in values.tolist()]
        middle = values if centre is None else centre
        half = t_quantile(self.level, degrees) * errors
        low = np.maximum(np.minimum(middle - half, values), bounds[0])
        high = np.minimum(np.maximum(middle + half, values), bounds[1])
        return [Estimate(*ends) for ends in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)]

    def _ratios(self, above: NDArray[np.float64], below: NDArray[np.float64]) -> _Ratios:
        """The ratios of weighted sums of columns.

        The weights of each ratio are scaled so that their sum is the effective sample size of its rows. It then equals
        the sum of their squares, as it does without weights.
        """
        if self.weights is not None:
            weights = (self.weights / self.weights.max())[:, None]  # squares of tiny weights would underflow
            squares = (below * weights**2).sum(axis=0)
            scale = np.where(squares > 0, divide((below * weights).sum(axis=0), squares), 1.0)
            above, below = above * weights * scale, below * weights * scale
        return _Ratios(self.sums(above), self.sums(below))

    def variances(self, influence: NDArray[np.float64], *, parameters: int = 1) -> NDArray[np.float64]:
        """Variances [M] of statistics from the influence of each row with its weight, [rows, M], after a fit."""
        factor = self.groups / max(self.groups - parameters, 1)
        of_statistics: NDArray[np.float64] = factor * (self.sums(influence) ** 2).sum(axis=0)
        return of_statistics


class _Ratios:
    """Ratios of the column sums of `above` and `below`, [groups, M] each."""

    def __init__(self, above: NDArray[np.float64], below: NDArray[np.float64]) -> None:
        self.above, self.below = above, np.broadcast_to(below, above.shape)
        self.total: NDArray[np.float64] = self.below.sum(axis=0)
        self.values = divide(above.sum(axis=0), self.total)
        self.groups: NDArray[np.float64] = (self.below != 0).sum(axis=0).astype(np.float64)
        """[M], the groups that have rows of the ratio."""

    def variances(self) -> NDArray[np.float64]:
        """[M], 0 for a single group."""
        squares = ((self.above - self.values * self.below) ** 2).sum(axis=0)
        corrected: NDArray[np.float64] = squares * self.groups / np.maximum(self.groups - 1, 1)
        return divide(corrected, self.total**2)

    def design_effects(self) -> NDArray[np.float64]:
        """[M], for counts the variance over that of independent trials.

        Half a group of average size is added with all rows right, and half a group with all rows wrong. Without them
        a few wrong rows would estimate the dependence within groups, and all-right rows not at all.
        """
        size = divide(self.total, self.groups)
        total = self.total + size
        centre = (self.above.sum(axis=0) + size / 2) / total
        squares = ((self.above - centre * self.below) ** 2).sum(axis=0) + size**2 * (centre**2 + (1 - centre) ** 2) / 2
        lost = divide(self.groups, self.groups - 1) * divide(self.total - 1, self.total)
        return lost * divide(squares, total * centre * (1 - centre))


def _columns(numerators: ArrayLike, denominators: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    above = np.asarray(numerators, dtype=np.float64)
    below = np.ones((len(above), 1)) if denominators is None else np.asarray(denominators, dtype=np.float64)
    return above, below


def t_quantile(level: float, degrees: ArrayLike) -> NDArray[np.float64]:
    """The two-sided quantile of Student's t; NaN for 0 degrees of freedom."""
    from scipy.special import stdtrit

    degrees = np.asarray(degrees, dtype=np.float64)
    finite = np.where(np.isfinite(degrees) & (degrees > 0), degrees, 1.0)
    quantile = np.where(np.isinf(degrees), normal_quantile(level), stdtrit(finite, (1 + level) / 2))
    return np.where(degrees > 0, quantile, np.nan)


def normal_quantile(level: float) -> float:
    """The two-sided quantile of the normal distribution."""
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient, NaN where the denominator is 0."""
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    quotient: NDArray[np.float64] = np.divide(numerator, denominator, out=undefined, where=denominator != 0)
    return quotient
