"""Verdicts in, numbers out: how good a judge is, and its probabilities as files. No torch."""

from tiebreak.judging.metrics import cross_entropies, preference_metrics
from tiebreak.judging.predictions import SUBMISSION_COLUMNS, submission_frame, write_predictions, write_submission

__all__ = [
    "SUBMISSION_COLUMNS",
    "cross_entropies",
    "preference_metrics",
    "submission_frame",
    "write_predictions",
    "write_submission",
]
