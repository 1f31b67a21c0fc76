"""What a judge says: of a comparison, of one answer, of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.types import OUTCOMES, Outcome, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Verdict:
    """How likely people are to prefer A, to prefer B, or to call it a tie; the three sum to 1."""

    model_a: float
    model_b: float
    tie: float
    tokens_lost: int = 0
    """Tokens that were cut because the comparison was longer than the judge reads."""
    tokens_read: int = 0
    """Tokens the judge read: of two texts, if it reads an answer at a time; 0 where it counts none."""
    rewards: tuple[float, float] | None = None
    """A's and B's, in nats; None from a judge of pairs."""

    @property
    def probabilities(self) -> Vote:
        """P(A preferred), P(B preferred), P(tie), in the order of `OUTCOMES`."""
        return self.model_a, self.model_b, self.tie

    @property
    def answer(self) -> Outcome:
        """The likeliest outcome; of two that are exactly alike the first in the order A, B, tie."""
        return OUTCOMES[int(np.argmax(self.probabilities))]


def probability_array(verdicts: Sequence[Verdict]) -> NDArray[np.float64]:
    """Probabilities [n, 3] over `OUTCOMES`."""
    return np.array([verdict.probabilities for verdict in verdicts], dtype=np.float64).reshape(-1, len(OUTCOMES))


@dataclass(frozen=True, slots=True)
class Score:
    """How good one answer is."""

    reward: float
    """In nats: of two answers to a prompt, the one whose reward is higher by 1 wins e times as often as it loses (by
    Davidson's and by Bradley and Terry's model; Rao and Kupper's threshold comes on top)."""
    normalised: float
    """The reward less the mean over the validation's answers, in their standard deviations."""
    tokens_lost: int = 0
    """Tokens that were cut because prompt and answer were longer than the judge reads."""
    tokens_read: int = 0
    """Tokens the judge read."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Answers to one prompt, scored."""

    rewards: tuple[float, ...]
    """In nats. From a pairwise judge they have a mean of 0 over these answers, and say nothing about answers to another
    prompt."""
    ranks: tuple[int, ...]
    """1 for the best; equals share a rank, and the next one is left out."""
    comparisons: int = 0
    """Pairs that were judged; none by a judge that gives rewards."""
    tokens_lost: int = 0
    """Tokens that were cut, over all these comparisons or answers."""
    normalised: tuple[float, ...] | None = None
    """As in `Score`; None from a pairwise judge."""

    @property
    def best(self) -> int:
        """Number of the best answer, from 0; of several that are exactly alike the first."""
        return self.ranks.index(1)


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What a judge's head gives for a text that was rendered elsewhere."""

    outputs: tuple[float, ...]
    """Three logits over (A, B, tie), or one reward in nats."""
    probabilities: tuple[float, float, float] | None
    """Of the three, calibrated as verdicts are; None of a reward."""
    tokens_read: int
    tokens_lost: int


@dataclass(frozen=True, slots=True)
class InputLimits:
    """What a judge reads with one language model."""

    max_length: int
    """The most tokens of a text."""
    tokens_per_pass: int
    """Tokens that go through the model at once."""
    template: str
    """The text around prompt and answers, with slots."""
    bos: str
    """What the tokenizer leads texts with; empty where it leads them with nothing."""
    on_gpu: bool = False
    """Whether the processor is idle while it computes."""
