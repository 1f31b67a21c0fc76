"""A trained judge, loaded from its run folder: comparisons in, verdicts out; answers in, rewards out."""

from tiebreak.judge.base import Judge
from tiebreak.judge.load import Merge, load_judge
from tiebreak.judge.orders import Swap
from tiebreak.judge.verdicts import Ranking, Reading, Reads, Score, Verdict

__all__ = ["Judge", "Merge", "Ranking", "Reading", "Reads", "Score", "Swap", "Verdict", "load_judge"]
