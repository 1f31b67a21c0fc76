"""Verdicts in, numbers out: how good a judge is, its probabilities as files, and answers scored by it. No torch."""

from tiebreak.judging.calibration import Calibration, fit_calibration, refuse_unfit_votes
from tiebreak.judging.metrics import cross_entropies, preference_metrics
from tiebreak.judging.predictions import (
    SUBMISSION_COLUMNS,
    check_submission_path,
    submission_frame,
    write_predictions,
    write_submission,
)
from tiebreak.judging.scores import write_rewards, write_scores
from tiebreak.judging.strengths import FittedRewards, fit_rewards
from tiebreak.judging.tie_models import TieModel, log_softmax, outcome_logits, tie_parameter_of
from tiebreak.judging.tournament import Standings, competition_ranks, tournament

__all__ = [
    "SUBMISSION_COLUMNS",
    "Calibration",
    "FittedRewards",
    "Standings",
    "TieModel",
    "check_submission_path",
    "competition_ranks",
    "cross_entropies",
    "fit_calibration",
    "fit_rewards",
    "log_softmax",
    "outcome_logits",
    "preference_metrics",
    "refuse_unfit_votes",
    "submission_frame",
    "tie_parameter_of",
    "tournament",
    "write_predictions",
    "write_rewards",
    "write_scores",
    "write_submission",
]
