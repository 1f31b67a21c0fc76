"""Paired-comparison models: tie models, fitting rewards to comparisons, tournaments. No torch."""

from tiebreak.ranking.fitting import FittedRewards, fit_rewards
from tiebreak.ranking.tie_fitting import fit_tie_parameter
from tiebreak.ranking.tie_models import TieModel, outcome_logits, tie_parameter_of
from tiebreak.ranking.tournaments import Standings, competition_ranks, tournament

__all__ = [
    "FittedRewards",
    "Standings",
    "TieModel",
    "competition_ranks",
    "fit_rewards",
    "fit_tie_parameter",
    "outcome_logits",
    "tie_parameter_of",
    "tournament",
]
