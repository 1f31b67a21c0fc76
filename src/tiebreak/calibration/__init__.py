"""Probabilities that say how often they are right: maps that mend a judge's, fitted on votes it never learned from."""

from tiebreak.calibration.blending import blend, blend_weights, gains, out_of_fold_blend
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
    "blend",
    "blend_weights",
    "check_calibration_votes",
    "fit_calibration",
    "fit_map",
    "gains",
    "out_of_fold_blend",
]
