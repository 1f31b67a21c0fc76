"""Results of judges: verdicts, scores, rankings, head outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.types import OUTCOMES, Outcome, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.data.chat_templates import ChatTemplate


@dataclass(frozen=True, slots=True)
class Verdict:
    """The probabilities that people prefer A, prefer B, or call it a tie; they sum to 1."""

    model_a: float
    model_b: float
    tie: float
    tokens_lost: int = 0
    """Tokens that were truncated because the comparison was longer than the judge's limit."""
    tokens_read: int = 0
    """Tokens the judge read: of both texts of a reward model; 0 for a baseline or a blend."""
    rewards: tuple[float, float] | None = None
    """Rewards of A and B in nats; None from a pairwise judge."""

    @property
    def probabilities(self) -> Vote:
        """P(A preferred), P(B preferred), P(tie), in the order of `OUTCOMES`."""
        return self.model_a, self.model_b, self.tie

    @property
    def answer(self) -> Outcome:
        """The likeliest outcome; of equal ones the first in the order A, B, tie."""
        return OUTCOMES[int(np.argmax(self.probabilities))]


def probability_array(verdicts: Sequence[Verdict]) -> NDArray[np.float64]:
    """Probabilities [n, 3] over `OUTCOMES`."""
    return np.array([verdict.probabilities for verdict in verdicts], dtype=np.float64).reshape(-1, len(OUTCOMES))


@dataclass(frozen=True, slots=True)
class Score:
    """The reward of one answer."""

    reward: float
    """In nats: of two answers to a prompt, the one with a reward higher by 1 wins e times as often as it loses (by the
    Davidson and Bradley-Terry models; Rao-Kupper adds a threshold)."""
    normalised: float
    """The reward minus the mean reward of the validation answers, divided by their standard deviation."""
    tokens_lost: int = 0
    """Tokens that were truncated because prompt and answer were longer than the judge's limit."""
    tokens_read: int = 0
    """Tokens the judge read."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores and ranks of the answers to one prompt."""

    rewards: tuple[float, ...]
    """In nats. Those of a pairwise judge have a mean of 0 over these answers: prompts are not comparable."""
    ranks: tuple[int, ...]
    """1 for the best; equal answers share a rank, and the next rank is skipped."""
    comparisons: int = 0
    """Pairs that were judged; 0 for a judge that gives rewards."""
    tokens_lost: int = 0
    """Truncated tokens over all these comparisons or answers."""
    normalised: tuple[float, ...] | None = None
    """As in `Score`; None from a pairwise judge."""

    @property
    def best(self) -> int:
        """Index of the best answer; of equal ones the first."""
        return self.ranks.index(1)


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """The head's outputs for a text that is already in the template."""

    outputs: tuple[float, ...]
    """Three logits over (A, B, tie), or one reward in nats."""
    probabilities: tuple[float, float, float] | None
    """Calibrated like verdicts; None for a reward."""
    tokens_read: int
    tokens_lost: int


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The length limits and the template of a judge with one language model."""

    max_length: int
    """Maximum number of tokens of a text."""
    tokens_per_pass: int
    """Tokens per pass."""
    template: str
    """The template with its slots; empty with a chat template."""
    bos: str
    """The token that the tokenizer puts at the start of a text; empty if there is none."""
    on_gpu: bool = False
    """Whether the model runs on a GPU, so that the CPU is free meanwhile."""
    chat_template: ChatTemplate | None = None
    """The chat template that it reads texts in (`text.template: chat`); None if it has a template with slots."""
