"""The reward model as a judge: one text holds the prompt and one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.judges.answer_order import Swap, check_rankable_swap, swapped_share
from tiebreak.judges.inference import HeadInference
from tiebreak.judges.judge import Judge, calibrated
from tiebreak.judges.prompts import Answer, Prompt, as_ranking_rows
from tiebreak.judges.verdicts import HeadOutput, InputLimits, Ranking, Score, Verdict
from tiebreak.ranking import competition_ranks, outcome_logits
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.calibration import Calibration
    from tiebreak.models import RewardScale
    from tiebreak.text import Encoded


RANKED_AT_ONCE: Final = 256
"""Prompts per batch in `rank_many`."""


class RewardModelJudge(Judge):
    """Reads the prompt and one answer as one text. The tie model of its training turns two rewards into a verdict.

    Both orders of a comparison have the same verdict, with A and B exchanged, by construction. A calibration changes
    verdicts, not rewards.
    """

    def __init__(
        self,
        reader: HeadInference[Conversation],
        scale: RewardScale,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__(calibration)
        self._reader = reader
        self._scale = scale

    @property
    def gives_rewards(self) -> bool:
        """Always True."""
        return True

    @property
    def reads(self) -> InputLimits:
        """As in `Judge`."""
        return self._reader.reads

    def read_many(self, texts: Sequence[str | Sequence[int]]) -> list[HeadOutput]:
        """As in `Judge`: one reward each."""
        rewards, encoded = self._reader.read_rendered(texts)
        return [
            HeadOutput((reward,), None, len(e.ids), e.tokens_lost)
            for (reward,), e in zip(rewards.tolist(), encoded, strict=True)
        ]

    def texts(self, comparisons: int, swap: Swap) -> int:
        """Two per comparison, in either order."""
        return 2 * comparisons

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """As in `Judge`."""
        from scipy.special import softmax

        swapped_share(swap)  # raises if it is not valid; both orders give the same
        sides = [side for comparison in comparisons for side in comparison.conversations]
        rewards, encoded = self._rewards(sides, [i // 2 for i in range(len(sides))], on_progress)
        logits = outcome_logits(rewards[0::2], rewards[1::2], self._scale.tie_model, self._scale.tie_parameter)
        probabilities = calibrated(softmax(logits, axis=-1), self._calibration)
        return [
            Verdict(a, b, tie, first.tokens_lost + second.tokens_lost, len(first.ids) + len(second.ids), (r_a, r_b))
            for (a, b, tie), first, second, r_a, r_b in zip(
                probabilities.tolist(),
                encoded[0::2],
                encoded[1::2],
                *(rewards[i::2].tolist() for i in (0, 1)),
                strict=True,
            )
        ]

    def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Score]:
        """As in `Judge`."""
        if groups is None:
            numbers: dict[str, int] = {}
            groups = [numbers.setdefault(c.opening_prompt, len(numbers)) for c in conversations]
        rewards, encoded = self._rewards(conversations, groups, on_progress)
        normalised = self._normalised(rewards)
        return [
            Score(reward, relative, e.tokens_lost, len(e.ids))
            for reward, relative, e in zip(rewards.tolist(), normalised.tolist(), encoded, strict=True)
        ]

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
        empty = [number for number, (_, answers, _) in enumerate(parsed) if not answers]
        if empty:
            raise ComparisonsError(f"Prompt {empty[0]} has no answers: give at least one to each.")
        rankings = []
        for first in range(0, len(rows), RANKED_AT_ONCE):
            batch = parsed[first : first + RANKED_AT_ONCE]
            sides = [Conversation(prompt, answer, system) for prompt, answers, system in batch for answer in answers]
            groups = [number for number, (_, answers, _) in enumerate(batch) for _ in answers]
            scores = iter(self.score_many(sides, groups=groups))
            rankings += [ranking_of(list(islice(scores, len(answers)))) for _, answers, _ in batch]
            if on_progress is not None:
                on_progress(len(batch))
        return rankings

    def _rewards(
        self,
        sides: Sequence[Conversation],
        groups: Sequence[int],
        on_progress: Callable[[int], None] | None,
    ) -> tuple[NDArray[np.float64], list[Encoded]]:
        # Equal texts are read once: rounding depends on the position in a pass, and equal inputs must give equal
        # rewards.
        first = {side: number for number, side in reversed(list(enumerate(sides)))}
        numbers = {side: number for number, side in enumerate(first)}
        outputs, encoded = self._reader.read(list(first), [groups[number] for number in first.values()], on_progress)
        if on_progress is not None and len(first) < len(sides):
            on_progress(len(sides) - len(first))
        indices = [numbers[side] for side in sides]
        return outputs[indices, 0], [encoded[number] for number in indices]

    def _normalised(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        spread = self._scale.deviation or 1.0  # 0 if all validation answers had the same reward
        return (rewards - self._scale.mean) / spread


def ranking_of(scores: Sequence[Score]) -> Ranking:
    """The ranking that follows from the scores of the answers."""
    rewards = [score.reward for score in scores]
    return Ranking(
        tuple(rewards),
        tuple(competition_ranks(np.array(rewards)).tolist()),
        tokens_lost=sum(score.tokens_lost for score in scores),
        normalised=tuple(score.normalised for score in scores),
    )
