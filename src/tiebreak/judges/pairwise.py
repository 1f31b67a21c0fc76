"""The pairwise judge: one text holds the prompt and both answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.judges.answer_order import Swap, least_certain, swapped_count
from tiebreak.judges.inference import HeadInference
from tiebreak.judges.judge import calibrated
from tiebreak.judges.tournament_ranking import TournamentRankingJudge
from tiebreak.judges.verdicts import HeadOutput, InputLimits, Verdict
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.calibration import Calibration
    from tiebreak.text import Encoded


class PairwiseJudge(TournamentRankingJudge):
    """Reads the prompt, A and B as one text."""

    def __init__(self, reader: HeadInference[Comparison], calibration: Calibration | None = None) -> None:
        super().__init__(calibration)
        self._reader = reader

    @property
    def reads(self) -> InputLimits:
        """As in `Judge`."""
        return self._reader.reads

    def read_many(self, texts: Sequence[str | Sequence[int]]) -> list[HeadOutput]:
        """As in `Judge`: three logits each."""
        return self._head_outputs(*self._reader.read_rendered(texts))

    def logits_many(self, comparisons: Sequence[Comparison]) -> list[HeadOutput]:
        """As in `Judge`."""
        return self._head_outputs(*self._reader.read(comparisons, None, None))

    def _head_outputs(self, logits: NDArray[np.float64], encoded: Sequence[Encoded]) -> list[HeadOutput]:
        from scipy.special import softmax

        probabilities = calibrated(softmax(logits, axis=-1), self._calibration)
        return [
            HeadOutput(tuple(row), (a, b, tie), len(e.ids), e.tokens_lost)
            for row, (a, b, tie), e in zip(logits.tolist(), probabilities.tolist(), encoded, strict=True)
        ]

    def texts(self, comparisons: int, swap: Swap) -> int:
        """One per comparison, and a second one for those judged in both orders."""
        return comparisons + swapped_count(comparisons, swap)

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """As in `Judge`."""
        swapped = swapped_count(len(comparisons), swap)
        if swap == "average":  # the prefix that both orders share is computed once
            orders = [order for c in comparisons for order in c.orders]
            both, encoded = self._judge(orders, [i // 2 for i in range(len(orders))], on_progress)
            probabilities, encoded = average_orders(both[0::2], both[1::2]), encoded[0::2]
        else:
            probabilities, encoded = self._judge(comparisons, None, on_progress)
        if 0 < swapped < len(comparisons):
            chosen = least_certain(probabilities, swapped)
            again, _ = self._judge([comparisons[i].swap() for i in chosen], None, on_progress)
            probabilities[chosen] = average_orders(probabilities[chosen], again)
        return _verdicts(probabilities, encoded)

    def _compare_each(self, orders: Sequence[Comparison], on_progress: Callable[[int], None] | None) -> list[Verdict]:
        """As in `Judge`; the prefix that both orders share is computed once."""
        return _verdicts(*self._judge(orders, [i // 2 for i in range(len(orders))], on_progress))

    def _judge(
        self, orders: Sequence[Comparison], groups: Sequence[int] | None, on_progress: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float64], list[Encoded]]:
        """Calibrated probabilities of each order, [orders, 3]: the calibration was fitted to single orders."""
        from scipy.special import softmax

        logits, encoded = self._reader.read(orders, groups, on_progress)
        return calibrated(softmax(logits, axis=-1), self._calibration), encoded


def _verdicts(probabilities: NDArray[np.float64], encoded: Sequence[Encoded]) -> list[Verdict]:
    return [
        Verdict(a, b, tie, e.tokens_lost, len(e.ids))
        for (a, b, tie), e in zip(probabilities.tolist(), encoded, strict=True)
    ]
