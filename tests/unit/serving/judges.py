"""A judge without a model, whose passes can be blocked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from tiebreak.errors import RecipeError
from tiebreak.judges import HeadOutput, InputLimits, Score, Swap, Verdict
from tiebreak.judges.tournament_ranking import TournamentRankingJudge
from tiebreak.types import Comparison, Conversation

WORTH = {"good": 2.0, "fair": 1.0, "bad": -1.0}


class FakeJudge(TournamentRankingJudge):
    """Judges by the values of words, prefers the first answer slightly, fails on the word `poison` and refuses
    the word `refused`.

    `passes` has the rows of each call. `begun` is released when a pass begins; no pass ends while `gate` is cleared.
    """

    def __init__(self, *, tokens_per_pass: int = 100, rewards: bool = False, on_gpu: bool = False) -> None:
        super().__init__(None)
        template = "Q {prompt} A {response} end" if rewards else "Q {prompt} A {response_a} B {response_b} end"
        self._reads = InputLimits(1000, tokens_per_pass, template, "<bos>", on_gpu)
        self._rewards = rewards
        self.passes: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    @property
    def gives_rewards(self) -> bool:
        """As constructed."""
        return self._rewards

    @property
    def reads(self) -> InputLimits:
        """As constructed."""
        return self._reads

    def texts(self, comparisons: int, swap: Swap) -> int:
        """As a pairwise judge."""
        return comparisons * (2 if swap == "average" else 1)

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """By the values of the answers."""
        self._pass([c.prompt[0] for c in comparisons], [*(t for c in comparisons for t in (*c.answer_a, *c.answer_b))])
        verdicts = []
        for c in comparisons:
            worth = WORTH.get(c.answer_a[-1], 0.0), WORTH.get(c.answer_b[-1], 0.0)
            first = round(min(max(0.5 + 0.1 * (worth[0] - worth[1]), 0.1), 0.8), 6)
            lost = 3 if "long" in c.prompt[0] else 0
            verdicts.append(
                Verdict(first, round(0.9 - first, 6), 0.1, lost, 10, worth if self._rewards else None)
            )  # fmt: skip
        return verdicts

    def score_many(  # type: ignore[override]  # a pairwise judge never returns from it
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Score]:
        """The value of the answer."""
        self._pass([c.prompt[0] for c in conversations], [t for c in conversations for t in c.answer])
        return [Score(WORTH.get(c.answer[-1], 0.0), 0.0, 3 if "long" in c.prompt[0] else 0, 10) for c in conversations]

    def read_many(self, texts: Sequence[str | Sequence[int]]) -> list[HeadOutput]:
        """The text's length as the reward, or as the logit of a tie."""
        self._pass([str(text) for text in texts], [str(text) for text in texts])
        if self._rewards:
            return [HeadOutput((float(len(text)),), None, len(text), 0) for text in texts]
        return [HeadOutput((0.0, 1.0, float(len(text))), (0.2, 0.3, 0.5), len(text), 0) for text in texts]

    def logits_many(self, comparisons: Sequence[Comparison]) -> list[HeadOutput]:
        """The values of the answers."""
        self._pass([c.prompt[0] for c in comparisons], [t for c in comparisons for t in (*c.answer_a, *c.answer_b)])
        worth = [[WORTH.get(c.answer_a[-1], 0.0), WORTH.get(c.answer_b[-1], 0.0)] for c in comparisons]
        return [HeadOutput((a, b, 0.0), (0.2, 0.3, 0.5), 10, 0) for a, b in worth]

    def _pass(self, rows: list[str], texts: list[str]) -> None:
        self.passes.append(rows)
        self.begun.release()
        assert self.gate.wait(10)
        if "poison" in texts:
            raise RuntimeError("it was poisoned")
        if "refused" in texts:
            raise RecipeError("the chat template refuses a conversation")


def comparison(prompt: str, a: str = "good", b: str = "bad") -> Comparison:
    return Comparison((prompt,), (a,), (b,))
