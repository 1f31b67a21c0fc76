"""How far a number would move with other prompts: the bootstrap over groups of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Measure = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """How often each group counts, [n, groups] -> the measures under each of these, [n, measures]."""
    Bounds = tuple[ArrayLike, ArrayLike]

AT_ONCE = 2_000_000
"""Numbers held for the resamples that are drawn together: 16 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its interval, which is NaN where all rows are of one group."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """For JSON, which knows no NaN."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {name: number if isfinite(number) else None for name, number in numbers.items()}


class Bootstrap:
    """Draws whole groups of rows with replacement, as many as there are, and measures again on each draw.

    Votes on one prompt are not independent, so an interval from single rows would be too narrow; the bootstrap of
    clusters (A. C. Davison and D. V. Hinkley (1997), "Bootstrap methods and their application", section 3.8) keeps
    them together. An interval holds the middle `level` of the draws, moved as a whole so that the draws' mean lies on
    the estimate: for means that is no move, but a calibration error is the larger the noisier its bins, and a draw
    adds noise.

    A draw is a number of times for each group, so that all that is made of sums over rows (means, calibration errors,
    correlations) takes one product of matrices for many draws; nothing is ever copied row by row.

    Args:
        rows: how many there are.
        groups: [rows], what rows of a group have in common, as `Comparison.folded_prompt`; None for each row alone.
        resamples: how many draws. The ends of a 95 % interval from 1,000 are good to about a tenth of its half width.
        seed: other seeds draw other groups. Draws do not depend on the order of the rows, if there are `groups`.
        level: the share of draws in an interval.

    Raises:
        ComparisonsError: there are no rows, not one group a row, or an impossible level or number of resamples.
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
            raise ComparisonsError("There are no rows to measure on: give at least one comparison with a vote.")
        if groups is not None and len(groups) != rows:
            raise ComparisonsError(f"There are {len(groups):,} groups for {rows:,} rows: give one a row, or None.")
        if resamples < 1 or not 0 < level < 1:
            raise ComparisonsError(
                f"resamples is {resamples} and level {level}: give at least 1 resample, and a level between 0 and 1."
            )
        self.rows = rows
        self.resamples = resamples
        self.level = level
        self._seed = seed
        numbers: dict[str, int] = {}
        if groups is None:
            self.codes = np.arange(rows)
        else:
            numbers = {group: number for number, group in enumerate(sorted(set(groups)))}
            self.codes = np.fromiter((numbers[group] for group in groups), np.intp, rows)
        self.groups = len(numbers) or rows

    def group_sums(self, statistics: Any) -> Any:
        """Sums over each group's rows, sparse [groups, S], of statistics [rows, S], dense or sparse."""
        from scipy import sparse

        belongs = sparse.csr_array((np.ones(self.rows), (self.codes, np.arange(self.rows))), (self.groups, self.rows))
        return belongs @ sparse.csr_array(statistics)

    def estimates(self, measure: Measure, *, bounds: Bounds = (-np.inf, np.inf)) -> list[Estimate]:
        """Each measure on all rows, with its interval. Draws under which a measure is NaN are left out of it.

        Args:
            measure: see `Measure`.
            bounds: between which a measure lies by its nature: numbers for all of them, or [measures].
        """
        [values] = measure(np.ones((1, self.groups)))
        if self.groups == 1:
            return [Estimate(value, np.nan, np.nan) for value in values.tolist()]
        drawn = np.concatenate([measure(counts) for counts in self._draws()])
        tail = (1 - self.level) / 2
        found = []
        limits = [np.broadcast_to(bound, len(values)).tolist() for bound in bounds]
        for value, draws, least, most in zip(values.tolist(), drawn.T, *limits, strict=True):
            usable = draws[np.isfinite(draws)]
            if not (usable.size and isfinite(value)):
                found.append(Estimate(value, np.nan, np.nan))
                continue
            low, high = value + np.quantile(usable, [tail, 1 - tail]) - usable.mean()
            found.append(Estimate(value, max(float(min(low, value)), least), min(float(max(high, value)), most)))
        return found

    def ratios(
        self,
        numerators: ArrayLike,
        denominators: ArrayLike | None = None,
        *,
        bounds: Bounds = (-np.inf, np.inf),
    ) -> list[Estimate]:
        """Sums of columns over sums of others: means, or means over the rows that a 0/1 denominator selects.

        Args:
            numerators: [rows, M].
            denominators: [rows, M] or [rows, 1]; None for 1 a row.
            bounds: as in `estimates`.
        """
        top = np.asarray(numerators, dtype=np.float64)
        below = np.ones((self.rows, 1)) if denominators is None else np.asarray(denominators, dtype=np.float64)
        width = top.shape[1]
        sums = self.group_sums(np.concatenate([top, below], axis=1))

        def measure(counts: NDArray[np.float64]) -> NDArray[np.float64]:
            total = counts @ sums
            return divide(total[:, :width], total[:, width:])

        return self.estimates(measure, bounds=bounds)

    def _draws(self) -> Iterator[NDArray[np.float64]]:
        """How often each group was drawn, [some resamples, groups] at a time."""
        random = np.random.default_rng(self._seed)
        at_once = max(1, AT_ONCE // max(self.rows, self.groups))
        for first in range(0, self.resamples, at_once):
            number = min(at_once, self.resamples - first)
            drawn = random.integers(self.groups, size=(number, self.groups))
            drawn += np.arange(number)[:, None] * self.groups
            counts = np.bincount(drawn.ravel(), minlength=number * self.groups)
            yield counts.reshape(number, self.groups).astype(np.float64)


def divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """A quotient that is NaN where the denominator is 0."""
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    quotient: NDArray[np.float64] = np.divide(numerator, denominator, out=undefined, where=denominator != 0)
    return quotient
