"""A baseline as a judge: statistics of the texts instead of a language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tiebreak.judges.answer_order import Swap, swapped_share
from tiebreak.judges.judge import calibrated
from tiebreak.judges.tournament_ranking import TournamentRankingJudge
from tiebreak.judges.verdicts import Verdict
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from tiebreak.baselines import Baseline
    from tiebreak.calibration import Calibration

BATCH_SIZE = 256
"""Comparisons between two progress callbacks."""


class BaselineJudge(TournamentRankingJudge):
    """Gives the same probabilities in both orders by construction, so `swap` has no effect."""

    def __init__(self, baseline: Baseline, calibration: Calibration | None = None) -> None:
        super().__init__(calibration)
        self._baseline = baseline

    def texts(self, comparisons: int, swap: Swap) -> int:
        """One per comparison, in either order."""
        swapped_share(swap)
        return comparisons

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """As in `Judge`."""
        swapped_share(swap)
        verdicts = []
        for start in range(0, len(comparisons), BATCH_SIZE):
            batch = comparisons[start : start + BATCH_SIZE]
            probabilities = calibrated(self._baseline.probabilities(batch), self._calibration)
            verdicts += [Verdict(a, b, tie) for a, b, tie in probabilities.tolist()]
            if on_progress is not None:
                on_progress(len(batch))
        return verdicts
