"""Scores as ratios of sums and weighted sums of them, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import DataError
from tiebreak.metrics import Estimate, GroupedRows, divide

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ratio:
    """A sum divided by another: a mean where the denominators are 1 for some rows and 0 for the others."""

    name: str
    numerators: Sequence[float]
    """[rows]."""
    denominators: Sequence[float]
    """[rows], not negative."""
    shown: bool = True
    """Whether it is printed; otherwise only totals use it."""


@dataclass(frozen=True)
class Total:
    """A weighted sum of ratios and of earlier totals."""

    name: str
    weights: Mapping[str, float]
    normalise: bool = True
    """Whether weights are divided by their sum over the parts that the file has; if not, all parts are required."""


@dataclass(frozen=True, slots=True)
class Score:
    """A score of a benchmark with its interval over prompts."""

    name: str
    estimate: Estimate
    rows: int | None
    """Its number of rows; None for a total."""
    missing: tuple[str, ...] = ()
    """For a total, the parts that the file lacks: the total is then not comparable."""

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"name": self.name, "rows": self.rows, "missing": list(self.missing), **self.estimate.to_dict()}


def mean_of(name: str, values: Sequence[float], included: Sequence[bool], *, shown: bool = True) -> Ratio:
    """The mean of the values [rows] over the included rows."""
    numerators = [value if is_included else 0.0 for value, is_included in zip(values, included, strict=True)]
    return Ratio(name, numerators, [float(is_included) for is_included in included], shown)


def means_by_subset(names: Iterable[str], values: Sequence[float], subsets: Sequence[str]) -> list[Ratio]:
    """The mean of the values [rows] over the rows of each named subset."""
    return [mean_of(name, values, [subset == name for subset in subsets]) for name in names]


def measure(
    ratios: Sequence[Ratio],
    totals: Sequence[Total],
    groups: Sequence[str],
    weights: NDArray[np.float64] | None = None,
) -> list[Score]:
    """Every score with a 95 % interval over groups; the totals come first.

    The interval of a total combines those of its parts, which keeps parts without a wrong row uncertain: with p the
    parts' scores, l their lower limits and r the correlations of their errors, the distance from the total to its lower
    limit is the root of the sum over parts i and j of w_i w_j r_ij (p_i - l_i) (p_j - l_j); above it likewise (G. Y.
    Zou (2008), "On the estimation of additive interaction by use of the four-by-two table and beyond").

    Ratios without rows are left out, and so are totals without parts (or, if weights are not normalised, with missing
    parts).

    Args:
        ratios: over the same rows.
        totals: weighted sums of them.
        groups: [rows], equal for rows that are not independent.
        weights: [rows], as in `GroupedRows`.

    Raises:
        DataError: there is no row to score.
    """
    present = [ratio for ratio in ratios if any(ratio.denominators)]
    if not present:
        raise DataError("No row can be scored.")
    names = [ratio.name for ratio in present]
    of_parts = np.eye(len(present))
    columns: list[NDArray[np.float64]] = []
    missing_parts: dict[str, tuple[str, ...]] = {}
    for total in totals:
        part_weights = {name: weight for name, weight in total.weights.items() if name in names}
        if not part_weights or (len(part_weights) < len(total.weights) and not total.normalise):
            continue
        scale = sum(part_weights.values()) if total.normalise else 1.0
        earlier = np.concatenate([of_parts, *columns], axis=1)
        shares = np.array([weight / scale for weight in part_weights.values()])
        columns.append(earlier[:, [names.index(name) for name in part_weights]] @ shares[:, None])
        names.append(total.name)
        missing_parts[total.name] = tuple(part for part in total.weights if part not in part_weights)
    numerators, denominators = (
        np.array([getattr(ratio, side) for ratio in present]).T for side in ("numerators", "denominators")
    )
    grouped = GroupedRows(len(groups), groups, weights=weights)
    parts = _part_estimates(numerators, denominators, grouped)
    correlations = _correlations(numerators, denominators, grouped)
    estimates = dict(zip(names, parts, strict=False))
    estimates |= {
        name: _combine(parts, column[:, 0], correlations)
        for name, column in zip(names[len(present) :], columns, strict=True)
    }
    totals_first = [Score(name, estimates[name], None, missing) for name, missing in missing_parts.items()]
    counted = [(ratio.name, int(np.count_nonzero(ratio.denominators))) for ratio in present if ratio.shown]
    return totals_first + [Score(name, estimates[name], rows) for name, rows in counted]


def _part_estimates(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64], grouped: GroupedRows
) -> list[Estimate]:
    """The ratios of the columns [rows, parts]; those outside 0 to 1, such as margins, have t intervals."""
    inside = (numerators >= 0) & (numerators <= denominators)
    shares: NDArray[np.bool_] = np.all(inside, axis=0)
    proportions = grouped.proportions(np.where(shares, numerators, 0.0), denominators)
    means = grouped.means(numerators, denominators)
    return [proportions[i] if share else means[i] for i, share in enumerate(shares.tolist())]


def _correlations(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64], grouped: GroupedRows
) -> NDArray[np.float64]:
    """[parts, parts], of the errors of the ratios; 0 for a ratio without variance."""
    numerators, denominators = grouped.weigh(numerators), grouped.weigh(denominators)
    ratios = numerators.sum(axis=0) / denominators.sum(axis=0)
    influence = grouped.sums(numerators - ratios * denominators)
    covariance = influence.T @ influence
    deviations = np.sqrt(np.diag(covariance))
    correlations = np.nan_to_num(divide(covariance, np.outer(deviations, deviations)))
    np.fill_diagonal(correlations, 1.0)
    return correlations


def _combine(parts: Sequence[Estimate], weights: NDArray[np.float64], correlations: NDArray[np.float64]) -> Estimate:
    """The weighted sum of estimates; only those with a weight count."""
    used = np.flatnonzero(weights).tolist()
    weights, correlations = weights[used], correlations[np.ix_(used, used)]
    values, low, high = np.array([[parts[i].value, parts[i].low, parts[i].high] for i in used]).T
    below, above = weights * (values - low), weights * (high - values)
    total = float(weights @ values)
    return Estimate(
        total,
        total - float(np.sqrt(np.maximum(below @ correlations @ below, 0))),
        total + float(np.sqrt(np.maximum(above @ correlations @ above, 0))),
    )
