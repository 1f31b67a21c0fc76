"""Verdicts in, numbers out: how good a judge is, and its probabilities as files. No torch."""

from tiebreak.judging.metrics import cross_entropies, preference_metrics
from tiebreak.judging.predictions import (
    SUBMISSION_COLUMNS,
    check_submission_path,
    submission_frame,
    write_predictions,
    write_submission,
)

__all__ = [
    "SUBMISSION_COLUMNS",
    "check_submission_path",
    "cross_entropies",
    "preference_metrics",
    "submission_frame",
    "write_predictions",
    "write_submission",
]
