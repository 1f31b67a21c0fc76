"""Whether outcomes given 70 % come about 70 times in 100: reliability curves and calibration errors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Binning = Literal["equal-width", "equal-mass"]
"""How probabilities are put into bins.

- `equal-width`: bins of the same width from 0 to 1, most of which may be nearly empty.
- `equal-mass`: bins of as many rows each, as nearly as equal probabilities allow (adaptive, Nixon et al. 2019).
"""

BINS = 15
"""As in Guo et al. 2017."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose probabilities lie in (lower, upper]."""

    lower: float
    upper: float
    rows: int
    predicted: float
    """Their mean probability."""
    observed: float
    """How often it came about: the mean of the votes."""
    observed_low: float | None = None
    observed_high: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """What came about against what was predicted, for the picture; bins without rows are left out."""

    of: str
    """An outcome, or `top`: whatever outcome the judge finds likeliest."""
    binning: Binning
    bins: tuple[Bin, ...]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean over rows of |observed - predicted| of their bin."""
        rows = sum(b.rows for b in self.bins)
        return sum(b.rows * abs(b.observed - b.predicted) for b in self.bins) / rows

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"of": self.of, "binning": self.binning, "error": self.error, "bins": [asdict(b) for b in self.bins]}


@dataclass(frozen=True, slots=True, eq=False)
class BinnedCurve:
    """Probabilities of one event in bins: what curves and calibration errors are made of."""

    of: str
    binning: Binning
    edges: NDArray[np.float64]
    """[bins + 1]"""
    number: NDArray[np.intp]
    """[rows], the bin of each."""
    predicted: NDArray[np.float64]
    """[rows], the event's probability."""
    observed: NDArray[np.float64]
    """[rows], the share of the vote that says it came about."""

    @property
    def count(self) -> int:
        """How many bins there are, with rows or without."""
        return len(self.edges) - 1

    def statistics(self) -> Any:
        """Sparse [rows, 3 * bins]: of each row's bin a 1, the probability and the vote. Sums over rows make curves."""
        from scipy import sparse

        rows = np.arange(len(self.number))
        parts = (np.ones(len(rows)), self.predicted, self.observed)
        return sparse.hstack(
            [sparse.csr_array((part, (rows, self.number)), (len(rows), self.count)) for part in parts], format="csr"
        )

    def curve(self, observed_intervals: list[tuple[float, float]] | None = None) -> CalibrationCurve:
        """The curve over all rows; intervals, one a bin, are of `observed`."""
        rows = np.bincount(self.number, minlength=self.count)
        predicted = np.bincount(self.number, self.predicted, self.count)
        observed = np.bincount(self.number, self.observed, self.count)
        bins = []
        for i in np.flatnonzero(rows).tolist():
            low, high = observed_intervals[i] if observed_intervals else (np.nan, np.nan)
            bins.append(
                Bin(
                    float(self.edges[i]),
                    float(self.edges[i + 1]),
                    int(rows[i]),
                    float(predicted[i] / rows[i]),
                    float(observed[i] / rows[i]),
                    None if np.isnan(low) else low,
                    None if np.isnan(high) else high,
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
) -> BinnedCurve:
    """Put the probabilities of one event into bins.

    `Binned.curve().error` is, with equal widths and the event "the judge's likeliest outcome is right", the expected
    calibration error of M. P. Naeini, G. F. Cooper and M. Hauskrecht (2015), "Obtaining well calibrated probabilities
    using Bayesian binning", AAAI, as C. Guo et al. (2017), "On calibration of modern neural networks", ICML, use it for
    several classes. With one outcome as the event, averaged over the outcomes, it is the static calibration error, and
    with equal mass the adaptive one, of J. Nixon et al. (2019), "Measuring calibration in deep learning", CVPR
    workshops. All of them are too high by what chance does to the bins: about sqrt(2 p (1 - p) / (pi n)) with n rows a
    bin, even of a judge calibrated perfectly.

    Args:
        of: the event's name.
        predicted: [rows], its probability.
        observed: [rows], 1 where it came about, 0 where not, the share of the vote where votes are soft.
        binning: how.
        bins: how many at most; equal probabilities are never parted, so equal-mass bins may be fewer.
    """
    if binning == "equal-width":
        edges = np.linspace(0, 1, bins + 1)
    else:
        edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1), method="inverted_cdf"))
        edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    number = np.searchsorted(edges[1:-1], predicted, side="left")
    return BinnedCurve(of, binning, edges, number, predicted, observed)
