"""Calibration and blending of the probabilities of judges, fitted to votes that the judges were not trained on."""

from tiebreak.calibration.blending import fit_blend_weights, member_gains, out_of_fold_blend, weighted_mean
from tiebreak.calibration.fitting import (
    MIN_ROWS,
    Calibration,
    Candidate,
    check_calibration_votes,
    fit_calibration,
)
from tiebreak.calibration.maps import (
    CalibrationMap,
    Dirichlet,
    Identity,
    Method,
    Temperature,
    VectorScaling,
    fit_map,
)

__all__ = [
    "MIN_ROWS",
    "Calibration",
    "CalibrationMap",
    "Candidate",
    "Dirichlet",
    "Identity",
    "Method",
    "Temperature",
    "VectorScaling",
    "check_calibration_votes",
    "fit_blend_weights",
    "fit_calibration",
    "fit_map",
    "member_gains",
    "out_of_fold_blend",
    "weighted_mean",
]
