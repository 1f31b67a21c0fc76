"""Probabilities that say how often they are right: maps that mend a judge's, fitted on votes it never learned from."""

from tiebreak.judging.calibration.choose import (
    LEAST_ROWS,
    Calibration,
    Candidate,
    fit_calibration,
    refuse_unfit_votes,
)
from tiebreak.judging.calibration.maps import (
    CalibrationMap,
    Dirichlet,
    Identity,
    Method,
    Temperature,
    VectorScaling,
    fit_map,
)

__all__ = [
    "LEAST_ROWS",
    "Calibration",
    "CalibrationMap",
    "Candidate",
    "Dirichlet",
    "Identity",
    "Method",
    "Temperature",
    "VectorScaling",
    "fit_calibration",
    "fit_map",
    "refuse_unfit_votes",
]
