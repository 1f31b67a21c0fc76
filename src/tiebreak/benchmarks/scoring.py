"""Scores as ratios of sums, so that one bootstrap gives intervals for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import DataError
from tiebreak.metrics import Bootstrap, Estimate, divide

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


def measure(ratios: Sequence[Ratio], totals: Sequence[Total], groups: Sequence[str]) -> list[Score]:
    """Every score with a 95 % interval from a bootstrap over groups; the totals come first.

    Ratios without rows are left out, and so are totals without parts (or, if weights are not normalised, with missing
    parts).

    Args:
        ratios: over the same rows.
        totals: weighted sums of them.
        groups: [rows], equal for rows that are not independent.

    Raises:
        DataError: there is no row to score.
    """
    present = [ratio for ratio in ratios if any(ratio.denominators)]
    if not present:
        raise DataError("No row can be scored.")
    names = [ratio.name for ratio in present]
    weights = np.eye(len(present))
    columns: list[NDArray[np.float64]] = []
    missing_parts: dict[str, tuple[str, ...]] = {}
    for total in totals:
        part_weights = {name: weight for name, weight in total.weights.items() if name in names}
        if not part_weights or (len(part_weights) < len(total.weights) and not total.normalise):
            continue
        scale = sum(part_weights.values()) if total.normalise else 1.0
        earlier = np.concatenate([weights, *columns], axis=1)
        shares = np.array([weight / scale for weight in part_weights.values()])
        columns.append(earlier[:, [names.index(name) for name in part_weights]] @ shares[:, None])
        names.append(total.name)
        missing_parts[total.name] = tuple(part for part in total.weights if part not in part_weights)
    score_weights = np.concatenate([weights, *columns], axis=1)
    bootstrap = Bootstrap(len(groups), groups)
    sums = bootstrap.group_sums(np.array([[*r.numerators] for r in present] + [[*r.denominators] for r in present]).T)

    def measured(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio_sums = counts @ sums
        ratios: NDArray[np.float64] = divide(ratio_sums[:, : len(present)], ratio_sums[:, len(present) :])
        undefined = ~np.isfinite(ratios)
        scores: NDArray[np.float64] = np.where(undefined, 0.0, ratios) @ score_weights
        scores[undefined @ (score_weights != 0)] = np.nan  # only the scores that depend on them
        return scores

    estimates = dict(zip(names, bootstrap.estimates(measured), strict=True))
    return [
        *(Score(name, estimates[name], None, missing) for name, missing in missing_parts.items()),
        *(Score(r.name, estimates[r.name], int(np.count_nonzero(r.denominators))) for r in present if r.shown),
    ]
