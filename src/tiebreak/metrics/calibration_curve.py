"""Calibration curves (reliability diagrams) and calibration errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Binning = Literal["equal-width", "equal-mass"]
"""How probabilities are binned.

- `equal-width`: bins of the same width from 0 to 1; many may be nearly empty.
- `equal-mass`: bins of about the same number of rows (adaptive binning, Nixon et al. 2019). Equal probabilities share a
  bin.
"""

BINS = 15
"""As in Guo et al. (2017)."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The rows with probabilities in (lower, upper]."""

    lower: float
    upper: float
    rows: int
    predicted: float
    """Mean probability."""
    observed: float
    """Observed frequency: the mean of the votes."""
    observed_low: float | None = None
    observed_high: float | None = None
    weight: float | None = None
    """The sum of the weights of the rows; None without weights."""

    @property
    def mass(self) -> float:
        """How much the bin counts: its weight, or else its number of rows."""
        return self.rows if self.weight is None else self.weight


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """Observed frequency against predicted probability, by bin; empty bins are left out."""

    of: str
    """An outcome, or `top` for the most likely outcome of each row."""
    binning: Binning
    bins: tuple[Bin, ...]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean over rows of |observed - predicted| of their bin."""
        total = sum(b.mass for b in self.bins)
        return sum(b.mass * abs(b.observed - b.predicted) for b in self.bins) / total

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"of": self.of, "binning": self.binning, "error": self.error, "bins": [asdict(b) for b in self.bins]}


@dataclass(frozen=True, slots=True, eq=False)
class BinnedCurve:
    """The probabilities of one event, assigned to bins."""

    of: str
    binning: Binning
    edges: NDArray[np.float64]
    """[bins + 1]"""
    bin_of_row: NDArray[np.intp]
    """[rows], the bin of each row."""
    predicted: NDArray[np.float64]
    """[rows], the predicted probability of the event."""
    observed: NDArray[np.float64]
    """[rows], the share of the vote for the event."""
    weights: NDArray[np.float64] | None = None
    """[rows]; None if all rows count the same."""

    @property
    def count(self) -> int:
        """The number of bins, with empty ones."""
        return len(self.edges) - 1

    def curve(self, observed_intervals: Sequence[tuple[float, float]] | None = None) -> CalibrationCurve:
        """The curve over all rows, with the intervals [bins] of the observed frequencies."""
        rows = np.bincount(self.bin_of_row, minlength=self.count)
        mass = np.bincount(self.bin_of_row, self.weights, self.count)
        predicted, observed = (
            np.bincount(self.bin_of_row, values if self.weights is None else values * self.weights, self.count)
            for values in (self.predicted, self.observed)
        )
        bins = []
        for i in np.flatnonzero(rows).tolist():
            low, high = observed_intervals[i] if observed_intervals else (np.nan, np.nan)
            bins.append(
                Bin(
                    float(self.edges[i]),
                    float(self.edges[i + 1]),
                    int(rows[i]),
                    float(predicted[i] / mass[i]),
                    float(observed[i] / mass[i]),
                    None if np.isnan(low) else low,
                    None if np.isnan(high) else high,
                    None if self.weights is None else float(mass[i]),
                )
            )
        return CalibrationCurve(self.of, self.binning, tuple(bins))


def bin_probabilities(
    of: str,
    predicted: NDArray[np.float64],
    observed: NDArray[np.float64],
    *,
    binning: Binning = "equal-width",
    bins: int = BINS,
    weights: NDArray[np.float64] | None = None,
) -> BinnedCurve:
    """Assign the probabilities of one event to bins.

    With equal widths and the event "the most likely outcome is correct", `curve().error` is the expected calibration
    error of M. P. Naeini, G. F. Cooper and M. Hauskrecht (2015), "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI, as used for several classes by C. Guo et al. (2017), "On calibration of modern neural
    networks", ICML. With one outcome as the event, averaged over the outcomes, it is the static calibration error of
    J. Nixon et al. (2019), "Measuring calibration in deep learning", CVPR workshops; with equal mass, their adaptive
    calibration error. All are biased upwards by sampling noise: by about sqrt(2 p (1 - p) / (pi n)) with n rows per
    bin, even for a perfectly calibrated judge.

    Args:
        of: the name of the event.
        predicted: [rows], the probability of the event.
        observed: [rows], the share of the vote for the event: 0 or 1 for hard votes.
        binning: as in `Binning`.
        bins: the number of bins. There may be fewer equal-mass bins, because equal probabilities share a bin.
        weights: [rows], above 0; None if all rows count the same. Equal-mass bins have about the same weight.
    """
    if binning == "equal-width":
        edges = np.linspace(0, 1, bins + 1)
    else:
        shares = np.linspace(0, 1, bins + 1)
        edges = np.unique(np.quantile(predicted, shares, weights=weights, method="inverted_cdf"))
        edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    bin_of_row = np.searchsorted(edges[1:-1], predicted, side="left")
    return BinnedCurve(of, binning, edges, bin_of_row, predicted, observed, weights)
