"""A judge that reads two answers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.comparison import Comparison
from tiebreak.judge.base import calibrated
from tiebreak.judge.comparing import ComparingJudge
from tiebreak.judge.orders import Swap, least_certain, mean_of_orders, swapped_count
from tiebreak.judge.reader import Reader
from tiebreak.judge.verdicts import Reading, Reads, Verdict
from tiebreak.judging import log_softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.judging import Calibration
    from tiebreak.text import Encoded


class PairwiseJudge(ComparingJudge):
    """Reads prompt, A and B as one text."""

    def __init__(self, reader: Reader[Comparison], calibration: Calibration | None = None) -> None:
        super().__init__(calibration)
        self._reader = reader

    @property
    def reads(self) -> Reads:
        """How much it reads, and around what."""
        return self._reader.reads

    def read_many(self, texts: Sequence[str | Sequence[int]]) -> list[Reading]:
        """As in `Judge`: three logits each."""
        logits, encoded = self._reader.read_rendered(texts)
        probabilities = calibrated(np.exp(log_softmax(logits)), self._calibration)
        return [
            Reading(tuple(row), (a, b, tie), len(e.ids), e.tokens_lost)
            for row, (a, b, tie), e in zip(logits.tolist(), probabilities.tolist(), encoded, strict=True)
        ]

    def texts(self, comparisons: int, swap: Swap) -> int:
        """One each, and another for those that are judged in both orders."""
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
        if swap == "average":  # what the orders share is computed once
            orders = [order for c in comparisons for order in c.orders]
            both, encoded = self._judge(orders, [i // 2 for i in range(len(orders))], on_progress)
            probabilities, encoded = mean_of_orders(both[0::2], both[1::2]), encoded[0::2]
        else:
            probabilities, encoded = self._judge(comparisons, None, on_progress)
        if 0 < swapped < len(comparisons):
            chosen = least_certain(probabilities, swapped)
            again, _ = self._judge([comparisons[i].swap() for i in chosen], None, on_progress)
            probabilities[chosen] = mean_of_orders(probabilities[chosen], again)
        return _verdicts(probabilities, encoded)

    def _compare_each(self, orders: Sequence[Comparison], on_progress: Callable[[int], None] | None) -> list[Verdict]:
        """What the orders of a comparison share is computed once."""
        return _verdicts(*self._judge(orders, [i // 2 for i in range(len(orders))], on_progress))

    def _judge(
        self, orders: Sequence[Comparison], groups: Sequence[int] | None, on_progress: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float64], list[Encoded]]:
        """Probabilities of each order, [orders, 3], calibrated one by one: so the calibration was fitted."""
        logits, encoded = self._reader.read(orders, groups, on_progress)
        return calibrated(np.exp(log_softmax(logits)), self._calibration), encoded


def _verdicts(probabilities: NDArray[np.float64], encoded: Sequence[Encoded]) -> list[Verdict]:
    return [
        Verdict(a, b, tie, e.tokens_lost, len(e.ids))
        for (a, b, tie), e in zip(probabilities.tolist(), encoded, strict=True)
    ]
