"""A judge that reads two answers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Final, Never

import numpy as np

from tiebreak.comparison import Comparison, Conversation
from tiebreak.errors import ModelError
from tiebreak.judge.base import Judge, Swap, calibrated, require_whole_swap, swapped_count
from tiebreak.judge.verdicts import Ranking, Verdict
from tiebreak.judging import log_softmax, tournament
from tiebreak.judging.metrics import SMALLEST

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from tiebreak.judging import Calibration
    from tiebreak.model import TokenBudget
    from tiebreak.text import Encoded, Encoder

ALL_PAIRS: Final = 8
"""Up to so many answers every pair is compared: 28 of 8."""

RANKED_AT_ONCE: Final = 64
"""Prompts whose comparisons are judged together."""


class PairwiseJudge(Judge):
    """Reads prompt, A and B as one text. It has no reward for an answer alone: answers are ranked by tournaments.

    Up to `ALL_PAIRS` answers every pair is compared, above that a Swiss tournament is held, and rewards are fitted to
    the verdicts under Davidson's model of ties (`tiebreak.judging.tournament`).
    """

    def __init__(
        self,
        model: nn.Module,
        encoder: Encoder[Comparison],
        compute_dtype: torch.dtype,
        budget: TokenBudget,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__(model, compute_dtype, budget, calibration)
        self._encoder = encoder

    @property
    def gives_rewards(self) -> bool:
        """No."""
        return False

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
        logits, encoded = self._read(self._encoder, orders, groups, on_progress)
        return calibrated(np.exp(log_softmax(logits)), self._calibration), encoded

    def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Never:
        """Not to be had from this judge."""
        raise ModelError(
            "This judge compares answers and has no reward for one alone. Rank two or more answers to a prompt "
            "(Judge.rank, tiebreak score with a list of responses), or train a reward model: model.head=pointwise."
        )

    def rank_many(
        self,
        rows: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
        *,
        swap: Swap = "average",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Ranking]:
        """As in `Judge`."""
        require_whole_swap(swap)
        rankings = []
        for first in range(0, len(rows), RANKED_AT_ONCE):
            some = rows[first : first + RANKED_AT_ONCE]
            pairs = [
                (row, pair)
                for row, (_, answers) in enumerate(some)
                if len(answers) <= ALL_PAIRS
                for pair in combinations(range(len(answers)), 2)
            ]
            known = dict(zip(pairs, self._judge_pairs([(*some[row], pair) for row, pair in pairs], swap), strict=True))
            for row in range(len(some)):
                rankings.append(self._tournament(row, some[row], known, swap))
                if on_progress is not None:
                    on_progress(1)
        return rankings

    def _judge_pairs(
        self, pairs: Sequence[tuple[Sequence[str], Sequence[Sequence[str]], tuple[int, int]]], swap: Swap
    ) -> list[Verdict]:
        asked = [
            Comparison(tuple(prompt), tuple(answers[a]), tuple(answers[b])) for prompt, answers, (a, b) in pairs
        ]  # fmt: skip
        return self.compare_many(asked, swap=swap)

    def _tournament(
        self,
        row: int,
        asked: tuple[Sequence[str], Sequence[Sequence[str]]],
        known: dict[tuple[int, tuple[int, int]], Verdict],
        swap: Swap,
    ) -> Ranking:
        """The ranking of one prompt's answers, from verdicts that are known, or asked for round by round."""
        lost = 0

        def compare(pairs: list[tuple[int, int]]) -> list[tuple[float, float, float]]:
            nonlocal lost
            unknown = [pair for pair in pairs if (row, pair) not in known]
            fresh = dict(zip(unknown, self._judge_pairs([(*asked, pair) for pair in unknown], swap), strict=True))
            verdicts = [fresh[pair] if pair in fresh else known[row, pair] for pair in pairs]
            lost += sum(verdict.tokens_lost for verdict in verdicts)
            return [(v.model_a, v.model_b, v.tie) for v in verdicts]

        standings = tournament(len(asked[1]), compare, all_pairs_up_to=ALL_PAIRS)
        return Ranking(
            tuple(standings.rewards.tolist()), tuple(standings.ranks.tolist()), standings.comparisons, lost
        )  # fmt: skip


def _mean(as_given: NDArray[np.float64], swapped: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities [n, 3] over both orders; the second ones are of the answers exchanged."""
    mean: NDArray[np.float64] = (as_given + swapped[:, [1, 0, 2]]) / 2
    return mean


def _entropies(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n], in nats. Entropy and not the margin of the two likeliest: log loss asks for all three."""
    entropies: NDArray[np.float64] = -(probabilities * np.log(np.maximum(probabilities, SMALLEST))).sum(axis=1)
    return entropies
