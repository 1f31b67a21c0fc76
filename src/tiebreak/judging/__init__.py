"""Verdicts in, numbers out: how good a judge is, its probabilities as files, and answers scored by it. No torch."""

from tiebreak.judging.metrics import cross_entropies, preference_metrics
from tiebreak.judging.predictions import (
    SUBMISSION_COLUMNS,
    check_submission_path,
    submission_frame,
    write_predictions,
    write_submission,
)
from tiebreak.judging.scores import write_scores
from tiebreak.judging.strengths import FittedRewards, fit_rewards
from tiebreak.judging.tie_models import TieModel, outcome_logits
from tiebreak.judging.tournament import Standings, tournament

__all__ = [
    "SUBMISSION_COLUMNS",
    "FittedRewards",
    "Standings",
    "TieModel",
    "check_submission_path",
    "cross_entropies",
    "fit_rewards",
    "outcome_logits",
    "preference_metrics",
    "submission_frame",
    "tournament",
    "write_predictions",
    "write_scores",
    "write_submission",
]
