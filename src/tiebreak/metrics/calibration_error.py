"""Calibration errors, beside those that a calibrated judge would get on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.metrics.calibration_curve import BinnedCurve, CalibrationCurve, bin_probabilities
from tiebreak.metrics.intervals import Estimate, GroupedRows
from tiebreak.types import OUTCOMES
from tiebreak.weights import total_weight

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP: Final = "top"
"""The event that the most likely outcome is the voted one."""

BATCH_VOTES: Final = 1_000_000
"""Votes that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """See `calibration_metrics`."""

    curves: tuple[CalibrationCurve, ...]
    errors: dict[str, Estimate]
    """Without intervals."""
    expected_if_calibrated: dict[str, Estimate]
    """The mean error of a calibrated judge, and the range of the central `level` of its errors."""


def calibration_metrics(
    p: NDArray[np.float64], targets: NDArray[np.float64], grouped: GroupedRows, *, samples: int, seed: int
) -> Calibration:
    """Calibration curves with intervals of the observed frequencies, and calibration errors.

    An error is a sum of absolute deviations, so noise makes it larger: it is never 0, even for a calibrated judge, and
    no interval around it can contain the error without noise. It is compared with the errors of votes that are sampled
    from the judge's own probabilities ("consistency resampling", J. Bröcker and L. A. Smith (2007), "Increasing the
    reliability of reliability diagrams"; J. Vaicenavicius et al. (2019), "Evaluating model calibration in
    classification", AISTATS). Their deviations are multiplied by the square root of the design effect: votes of one
    group may deviate together, and soft votes deviate less.

    Args:
        p: [rows, 3], the probabilities.
        targets: [rows, 3], the votes.
        grouped: the same rows.
        samples: the number of samples of votes.
        seed: the seed of the samples.
    """
    rows, top = np.arange(len(p)), p.argmax(axis=1)
    events = [(TOP, p[rows, top], targets[rows, top])]
    events += [(outcome, p[:, i], targets[:, i]) for i, outcome in enumerate(OUTCOMES)]
    curves = [
        bin_probabilities(*event, binning=b, weights=grouped.weights)
        for b in ("equal-width", "equal-mass")
        for event in events
    ]
    drawn = [curve.curve(_frequency_intervals(curve, grouped)) for curve in curves]
    names = [*map(_error_name, curves), "ece_classwise"]
    values = _with_classwise(np.array([[curve.error for curve in drawn]]))[0]
    errors = {name: Estimate(value, np.nan, np.nan) for name, value in zip(names, values.tolist(), strict=True)}
    expected = {}
    if grouped.groups > 1:
        scales = np.sqrt([_design_effect(curve, grouped) for curve in curves])
        sampled = _with_classwise(_sampled_errors(p, curves, samples, seed) * scales)
        tail = (1 - grouped.level) / 2
        ends = np.stack([sampled.mean(axis=0), *np.quantile(sampled, [tail, 1 - tail], axis=0)])
        expected = {name: Estimate(*of_error) for name, of_error in zip(names, ends.T.tolist(), strict=True)}
    return Calibration(tuple(drawn), errors, expected)


def _error_name(curve: BinnedCurve) -> str:
    name = "ece" if curve.of == TOP else f"ece_{curve.of}"
    return name if curve.binning == "equal-width" else f"{name}_equal_mass"


def _with_classwise(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The errors [samples, curves], and the mean of those of the outcomes in bins of equal width."""
    return np.column_stack([errors, errors[:, 1 : 1 + len(OUTCOMES)].mean(axis=1)])


def _frequency_intervals(curve: BinnedCurve, grouped: GroupedRows) -> list[tuple[float, float]]:
    """Intervals of the observed frequency of each bin; NaN for an empty one."""
    inside = (curve.bin_of_row[:, None] == np.arange(curve.count)).astype(np.float64)
    return [(e.low, e.high) for e in grouped.proportions(inside * curve.observed[:, None], inside)]


def _design_effect(curve: BinnedCurve, grouped: GroupedRows) -> float:
    """The variance of the deviations of the bins, over that of independent votes for one outcome each.

    At least 1 for hard votes. Deviations are from the probabilities, not from the bins' frequencies, which would follow
    the votes where bins have few rows. So the miscalibration of a judge makes its range a little wider.
    """
    residuals = grouped.weigh(curve.observed - curve.predicted)
    squares = float((residuals**2).sum())
    if not squares:
        return 1.0
    by_bin = np.zeros((len(residuals), curve.count))
    by_bin[np.arange(len(residuals)), curve.bin_of_row] = residuals
    dependence = max(float((grouped.sums(by_bin) ** 2).sum()) / squares, 1.0)
    hard = bool(np.isin(curve.observed, (0.0, 1.0)).all())
    independent = float(grouped.weigh(grouped.weigh(curve.predicted * (1 - curve.predicted))).sum())
    return dependence if hard or not independent else dependence * squares / independent


def _sampled_errors(
    p: NDArray[np.float64], curves: Sequence[BinnedCurve], samples: int, seed: int
) -> NDArray[np.float64]:
    """The error of each curve for votes sampled from the probabilities, [samples, curves]."""
    rng = np.random.default_rng(seed)
    weights = curves[0].weights
    total = total_weight(weights, len(p))
    cumulative = p.cumsum(axis=1)
    top = p.argmax(axis=1)
    outcome: dict[str, int] = {name: index for index, name in enumerate(OUTCOMES)}
    orders = [np.argsort(curve.bin_of_row, kind="stable") for curve in curves]
    starts, expected = [], []
    for curve, order in zip(curves, orders, strict=True):
        bins = curve.bin_of_row[order]
        first = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
        starts.append(first)
        predicted = curve.predicted if weights is None else curve.predicted * weights
        expected.append(np.add.reduceat(predicted[order], first))
    batches = []
    size = max(1, BATCH_VOTES // len(p))
    for first_sample in range(0, samples, size):
        drawn = rng.random((min(size, samples - first_sample), len(p)))
        votes = (drawn > cumulative[:, 0]).astype(np.int8) + (drawn > cumulative[:, 1])
        errors = []
        for curve, order, first, mean in zip(curves, orders, starts, expected, strict=True):
            event: NDArray[np.bool_] = votes == (top if curve.of == TOP else outcome[curve.of])
            if weights is None:
                observed = np.add.reduceat(event[:, order], first, axis=1, dtype=np.int32)
            else:
                observed = np.add.reduceat(event[:, order] * weights[order], first, axis=1)
            errors.append(np.abs(observed - mean).sum(axis=1) / total)
        batches.append(np.stack(errors, axis=1))
    return np.concatenate(batches)
