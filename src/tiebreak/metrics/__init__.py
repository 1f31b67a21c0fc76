"""Metrics of probabilities against votes: log loss, calibration, slices and biases, with intervals. No torch."""

from tiebreak.metrics.bias import (
    LengthBias,
    PositionBias,
    Preference,
    answer_lengths,
    format_bias,
    format_counts,
    length_bias,
    position_bias,
)
from tiebreak.metrics.calibration_curve import CalibrationCurve
from tiebreak.metrics.evaluation import Evaluation, evaluate
from tiebreak.metrics.intervals import Estimate, GroupedRows, divide
from tiebreak.metrics.log_loss import cross_entropies, preference_metrics
from tiebreak.metrics.slices import Slice, slice_metrics

__all__ = [
    "CalibrationCurve",
    "Estimate",
    "Evaluation",
    "GroupedRows",
    "LengthBias",
    "PositionBias",
    "Preference",
    "Slice",
    "answer_lengths",
    "cross_entropies",
    "divide",
    "evaluate",
    "format_bias",
    "format_counts",
    "length_bias",
    "position_bias",
    "preference_metrics",
    "slice_metrics",
]
