"""Ranking by tournaments: the part that judges without rewards for single answers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Final, Never

from tiebreak.errors import ModelError
from tiebreak.judges.answer_order import Swap, check_rankable_swap
from tiebreak.judges.judge import Judge
from tiebreak.judges.prompts import Answer, Prompt, RankingRow, as_ranking_rows
from tiebreak.judges.verdicts import Ranking, Verdict
from tiebreak.ranking import tournament
from tiebreak.types import Comparison, Conversation

ALL_PAIRS: Final = 8
"""Up to this number of answers, every pair is compared: 28 pairs of 8 answers."""

RANKED_AT_ONCE: Final = 64
"""Prompts per batch in `rank_many`."""


class TournamentRankingJudge(Judge):
    """Compares every pair of up to `ALL_PAIRS` answers, and plays a Swiss tournament with more.

    Rewards are fitted to the verdicts by Davidson's tie model (`tiebreak.ranking.tournaments`).
    """

    @property
    def gives_rewards(self) -> bool:
        """Always False."""
        return False

    def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Never:
        """Always raises ModelError."""
        raise ModelError(
            "This judge compares answers and has no reward for a single one. Rank two or more answers to a prompt "
            "(Judge.rank, tiebreak score with a list of responses), or train a reward model: model.head=pointwise."
        )

    def rank_many(
        self,
        rows: Sequence[tuple[Prompt, Sequence[Answer]]],
        *,
        systems: Sequence[str] | None = None,
        swap: Swap = "average",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Ranking]:
        """As in `Judge`."""
        check_rankable_swap(swap)
        parsed = as_ranking_rows(rows, systems)
        rankings = []
        for first in range(0, len(rows), RANKED_AT_ONCE):
            batch = parsed[first : first + RANKED_AT_ONCE]
            pairs = [
                (row, pair)
                for row, (_, answers, _) in enumerate(batch)
                if len(answers) <= ALL_PAIRS
                for pair in combinations(range(len(answers)), 2)
            ]
            verdicts = dict(
                zip(pairs, self._judge_pairs([(batch[row], pair) for row, pair in pairs], swap), strict=True)
            )
            for row in range(len(batch)):
                rankings.append(self._tournament(row, batch[row], verdicts, swap))
                if on_progress is not None:
                    on_progress(1)
        return rankings

    def _judge_pairs(self, pairs: Sequence[tuple[RankingRow, tuple[int, int]]], swap: Swap) -> list[Verdict]:
        comparisons = [
            Comparison(prompt, answers[a], answers[b], system=system) for (prompt, answers, system), (a, b) in pairs
        ]
        return self.compare_many(comparisons, swap=swap)

    def _tournament(
        self,
        row: int,
        content: RankingRow,
        known: dict[tuple[int, tuple[int, int]], Verdict],
        swap: Swap,
    ) -> Ranking:
        """The ranking of one prompt's answers, from known verdicts or from new ones, round by round."""
        lost = 0

        def compare(pairs: list[tuple[int, int]]) -> list[tuple[float, float, float]]:
            nonlocal lost
            unknown = [pair for pair in pairs if (row, pair) not in known]
            fresh = dict(zip(unknown, self._judge_pairs([(content, pair) for pair in unknown], swap), strict=True))
            verdicts = [fresh[pair] if pair in fresh else known[row, pair] for pair in pairs]
            lost += sum(verdict.tokens_lost for verdict in verdicts)
            return [verdict.probabilities for verdict in verdicts]

        standings = tournament(len(content[1]), compare, all_pairs_up_to=ALL_PAIRS)
        return Ranking(
            tuple(standings.rewards.tolist()), tuple(standings.ranks.tolist()), standings.comparisons, lost
        )  # fmt: skip
