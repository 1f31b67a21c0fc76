"""Weights of rows: how many votes the vote of a row counts as.

Functions that take weights take None for rows that all count as one. Weights that are all 1 become None, so that they
change no result in any digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class WeightSummary:
    """The size of a sample of weighted rows."""

    sum: float
    """How many votes the rows count as."""
    effective_rows: float
    """How many rows of equal weight would estimate a mean as precisely; see `effective_rows`."""

    def __str__(self) -> str:
        return f"weights sum to {self.sum:,.6g} and count as {self.effective_rows:,.1f} rows of equal weight"

    def to_dict(self) -> dict[str, float]:
        """A JSON object."""
        return asdict(self)


def row_weights(comparisons: Sequence[Comparison]) -> NDArray[np.float64] | None:
    """The weights of comparisons, [rows]; None if all are 1."""
    return validate_weights([comparison.weight for comparison in comparisons], len(comparisons))


def validate_weights(
    weights: ArrayLike | None, rows: int, *, positive: bool = False
) -> NDArray[np.float64] | None:  # fmt: skip
    """Check weights and return them as float64, [rows]; None if there are none, or if all are 1.

    Args:
        weights: [rows], or None.
        rows: the number of rows.
        positive: whether weights of 0 are refused too.

    Raises:
        ComparisonsError: there is not one weight per row, or a weight is negative or not finite, or 0 with `positive`.
    """
    if weights is None:
        return None
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (rows,):
        raise ComparisonsError(f"The weights have the shape {w.shape} for {rows:,} rows: give one weight per row.")
    invalid = ~np.isfinite(w) | (w < 0) | (positive & (w == 0))
    if invalid.any():
        row = int(np.flatnonzero(invalid)[0])
        wanted = (
            "finite weights above 0, and leave out rows of weight 0" if positive else "finite weights of at least 0"
        )
        raise ComparisonsError(f"The weight of row {row} is {w[row]:g}: give {wanted}.")
    return None if (w == 1).all() else w


def effective_rows(weights: NDArray[np.float64]) -> float:
    """(sum w)^2 / sum w^2, the effective sample size of weighted rows, between 1 and their number; 0 without weight.

    The variance of a weighted mean of independent rows is that of the plain mean of as many rows (L. Kish (1965),
    "Survey sampling", section 11.7).

    Args:
        weights: [rows], at least 0.
    """
    largest = float(weights.max(initial=0.0))
    if not largest:
        return 0.0
    shares = weights / largest  # squares of very small weights would underflow
    return float(shares.sum() ** 2 / (shares**2).sum())


def summarise_weights(weights: NDArray[np.float64] | None) -> WeightSummary | None:
    """Sum and effective number of rows; None for rows that all count as one."""
    return None if weights is None else WeightSummary(float(weights.sum()), effective_rows(weights))


def total_weight(weights: NDArray[np.float64] | None, rows: int) -> float:
    """The sum of the weights: the number of rows if all count as one."""
    return float(rows) if weights is None else float(weights.sum())
