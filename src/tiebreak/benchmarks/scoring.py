"""Scores as sums over sums, so that one bootstrap gives all of them intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import DataError
from tiebreak.metrics import Bootstrap, Estimate, divide

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ratio:
    """The sum of some numbers over the sum of others: a mean, where the others are 1 for some rows and 0 else."""

    name: str
    numerators: Sequence[float]
    """[rows]."""
    denominators: Sequence[float]
    """[rows], none of them negative."""
    shown: bool = True
    """Whether it is a score, or only goes into others."""


@dataclass(frozen=True)
class Total:
    """A weighted sum of ratios and of totals before it."""

    name: str
    weights: Mapping[str, float]
    normalise: bool = True
    """Whether the weights are divided by their sum over what the file has rows for; if not, all of it is needed."""


@dataclass(frozen=True, slots=True)
class Score:
    """A number that a benchmark gives, with its interval over prompts."""

    name: str
    estimate: Estimate
    rows: int | None
    """How many rows it is of; None for a sum of others."""
    missing: tuple[str, ...] = ()
    """Of a sum, what should go into it and is not in the file: it cannot be compared with others' then."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "rows": self.rows, "missing": list(self.missing), **self.estimate.to_dict()}


def mean_of(name: str, values: Sequence[float], included: Sequence[bool], *, shown: bool = True) -> Ratio:
    """The mean of the values [rows] of the rows that are included."""
    pairs = list(zip(values, included, strict=True))
    return Ratio(name, [value if there else 0.0 for value, there in pairs], [float(there) for _, there in pairs], shown)


def measure(ratios: Sequence[Ratio], totals: Sequence[Total], groups: Sequence[str]) -> list[Score]:
    """Every score with a 95 % interval from drawing whole groups anew; the totals come first.

    Ratios of which there are no rows, and totals of which there is nothing (or, where weights are not normalised, not
    everything), are left out.

    Args:
        ratios: of the same rows.
        totals: sums over these.
        groups: [rows], what rows have in common that are not independent.

    Raises:
        DataError: there is nothing to give.
    """
    present = [ratio for ratio in ratios if any(ratio.denominators)]
    if not present:
        raise DataError("There is no row that a score could be made of.")
    names = [ratio.name for ratio in present]
    weights = np.eye(len(present))
    columns: list[NDArray[np.float64]] = []
    kept: dict[str, tuple[str, ...]] = {}
    for total in totals:
        found = {name: weight for name, weight in total.weights.items() if name in names}
        if not found or (len(found) < len(total.weights) and not total.normalise):
            continue
        scale = sum(found.values()) if total.normalise else 1.0
        known = np.concatenate([weights, *columns], axis=1)
        shares = np.array([weight / scale for weight in found.values()])
        columns.append(known[:, [names.index(name) for name in found]] @ shares[:, None])
        names.append(total.name)
        kept[total.name] = tuple(part for part in total.weights if part not in found)
    of_parts = np.concatenate([weights, *columns], axis=1)
    bootstrap = Bootstrap(len(groups), groups)
    sums = bootstrap.group_sums(np.array([[*r.numerators] for r in present] + [[*r.denominators] for r in present]).T)

    def measured(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        both = counts @ sums
        ratios: NDArray[np.float64] = divide(both[:, : len(present)], both[:, len(present) :])
        undefined = ~np.isfinite(ratios)
        scores: NDArray[np.float64] = np.where(undefined, 0.0, ratios) @ of_parts
        scores[undefined @ (of_parts != 0)] = np.nan  # and not those that have nothing to do with them
        return scores

    estimates = dict(zip(names, bootstrap.estimates(measured), strict=True))
    whole = [Score(name, estimates[name], None, missing) for name, missing in kept.items()]
    return whole + [Score(r.name, estimates[r.name], int(np.count_nonzero(r.denominators))) for r in present if r.shown]
