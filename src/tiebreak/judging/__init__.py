"""Verdicts in, numbers out: how good a judge is and what sways it; files of probabilities and scores. No torch."""

from tiebreak.judging.bias import (
    LengthBias,
    PositionBias,
    Preference,
    answer_lengths,
    format_bias,
    format_counts,
    length_bias,
    position_bias,
)
from tiebreak.judging.blending import blend, blend_weights, gains, out_of_fold
from tiebreak.judging.bootstrap import Bootstrap, Estimate, divide
from tiebreak.judging.breakdown import BreakdownRow, breakdown
from tiebreak.judging.calibration import Calibration, fit_calibration, refuse_unfit_votes
from tiebreak.judging.evaluation import Evaluation, evaluate, macro_auc
from tiebreak.judging.metrics import cross_entropies, preference_metrics
from tiebreak.judging.predictions import (
    SUBMISSION_COLUMNS,
    check_submission_path,
    submission_frame,
    write_predictions,
    write_submission,
)
from tiebreak.judging.reliability import ReliabilityCurve
from tiebreak.judging.scores import write_rewards, write_scores
from tiebreak.judging.strengths import FittedRewards, fit_rewards
from tiebreak.judging.tie_models import TieModel, log_softmax, outcome_logits, tie_parameter_of
from tiebreak.judging.tournament import Standings, competition_ranks, tournament

__all__ = [
    "SUBMISSION_COLUMNS",
    "Bootstrap",
    "BreakdownRow",
    "Calibration",
    "Estimate",
    "Evaluation",
    "FittedRewards",
    "LengthBias",
    "PositionBias",
    "Preference",
    "ReliabilityCurve",
    "Standings",
    "TieModel",
    "answer_lengths",
    "blend",
    "blend_weights",
    "breakdown",
    "check_submission_path",
    "competition_ranks",
    "cross_entropies",
    "divide",
    "evaluate",
    "fit_calibration",
    "fit_rewards",
    "format_bias",
    "format_counts",
    "gains",
    "length_bias",
    "log_softmax",
    "macro_auc",
    "out_of_fold",
    "outcome_logits",
    "position_bias",
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
