"""Judges, loaded from run folders: verdicts on comparisons, scores of answers, rankings."""

from tiebreak.judges.answer_order import Swap
from tiebreak.judges.judge import Judge
from tiebreak.judges.loading import Merge, load_judge
from tiebreak.judges.prompts import as_comparison, as_conversation
from tiebreak.judges.verdicts import HeadOutput, InputLimits, Ranking, Score, Verdict, probability_array

__all__ = [
    "HeadOutput",
    "InputLimits",
    "Judge",
    "Merge",
    "Ranking",
    "Score",
    "Swap",
    "Verdict",
    "as_comparison",
    "as_conversation",
    "load_judge",
    "probability_array",
]
