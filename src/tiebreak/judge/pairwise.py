"""A judge that reads two answers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.comparison import Comparison
from tiebreak.judge.base import Swap, calibrated, swapped_count
from tiebreak.judge.comparing import ComparingJudge
from tiebreak.judge.reader import Reader
from tiebreak.judge.verdicts import Verdict
from tiebreak.judging import log_softmax
from tiebreak.judging.metrics import SMALLEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.judging import Calibration
    from tiebreak.text import Encoded


class PairwiseJudge(ComparingJudge):
    """Reads prompt, A and B as one text."""

    def __init__(self, reader: Reader[Comparison], calibration: Calibration | None = None) -> None:
        super().__init__(calibration)
        self._reader = reader

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
            probabilities, encoded = _mean(both[0::2], both[1::2]), encoded[0::2]
        else:
            probabilities, encoded = self._judge(comparisons, None, on_progress)
        if 0 < swapped < len(comparisons):
            least_certain = np.argsort(-_entropies(probabilities), kind="stable")[:swapped]
            again, _ = self._judge([comparisons[i].swap() for i in least_certain], None, on_progress)
            probabilities[least_certain] = _mean(probabilities[least_certain], again)
        return [
            Verdict(a, b, tie, e.tokens_lost)
            for (a, b, tie), e in zip(probabilities.tolist(), encoded, strict=True)
        ]  # fmt: skip

    def _judge(
        self, orders: Sequence[Comparison], groups: Sequence[int] | None, on_progress: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float64], list[Encoded]]:
        """Probabilities of each order, [orders, 3], calibrated one by one: so the calibration was fitted."""
        logits, encoded = self._reader.read(orders, groups, on_progress)
        return calibrated(np.exp(log_softmax(logits)), self._calibration), encoded


def _mean(as_given: NDArray[np.float64], swapped: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities [n, 3] over both orders; the second ones are of the answers exchanged."""
    mean: NDArray[np.float64] = (as_given + swapped[:, [1, 0, 2]]) / 2
    return mean


def _entropies(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n], in nats. Entropy and not the margin of the two likeliest: log loss asks for all three."""
    entropies: NDArray[np.float64] = -(probabilities * np.log(np.maximum(probabilities, SMALLEST))).sum(axis=1)
    return entropies
