"""What was said -> the outputs of the judge's head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiebreak.serving.errors import InvalidRequestError
from tiebreak.text import Template
from tiebreak.types import OUTCOMES, Comparison, Conversation

if TYPE_CHECKING:
    from tiebreak.judges import HeadOutput, Verdict
    from tiebreak.serving.judge_service import JudgeService


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge says of one text."""

    outputs: tuple[float, ...]
    """One reward in nats; or logits or probabilities over (A, B, tie)."""
    tokens_read: int


def labels(judge: JudgeService) -> tuple[str, ...]:
    """What the outputs are called, as in an export's configuration."""
    return ("reward",) if judge.gives_rewards else OUTCOMES


def logistic(reward: float) -> float:
    """A reward between 0 and 1: the chance against an answer whose reward is 0, ties aside.

    >>> logistic(0.0), logistic(-1000.0)
    (0.5, 0.0)
    """
    return 0.5 + 0.5 * math.tanh(reward / 2)


async def outputs_of(
    judge: JudgeService,
    said: Sequence[Conversation | Comparison | Sequence[int]],
    *,
    probabilities: bool,
    truncate: bool = True,
) -> list[Judged]:
    """What the head gives for each: a reward, or three numbers over (A, B, tie).

    Args:
        judge: what is asked.
        said: conversations, comparisons, as given and in this order alone, or the judge's own token ids.
        probabilities: of the three, calibrated as in a verdict; or else the head's logits. A reward is a reward.
        truncate: cut what is longer than the judge reads, in the way it was trained with.

    Raises:
        ServingError: as in `JudgeService`.
    """
    found: dict[int, Judged] = {}
    conversations = {i: one for i, one in enumerate(said) if isinstance(one, Conversation)}
    comparisons = {i: one for i, one in enumerate(said) if isinstance(one, Comparison)}
    tokens = {i: one for i, one in enumerate(said) if not isinstance(one, Conversation | Comparison)}
    if conversations:
        scores = await judge.score(list(conversations.values()), truncate=truncate)
        found |= zip(conversations, (Judged((one.reward,), one.tokens_read) for one in scores), strict=True)
    if comparisons and probabilities:
        verdicts = await judge.compare(list(comparisons.values()), swap="none", truncate=truncate)
        found |= zip(comparisons, (_verdict(one) for one, _ in verdicts), strict=True)
    elif comparisons:
        # A rendered text would lose its beginning, where a comparison is cut evenly.
        logits = await judge.read([_rendered(judge, one) for one in comparisons.values()], truncate=False)
        found |= zip(comparisons, (Judged(one.outputs, one.tokens_read) for one in logits), strict=True)
    if tokens:
        read = await judge.read(list(tokens.values()), truncate=truncate)
        found |= zip(tokens, (_reading(one, probabilities=probabilities) for one in read), strict=True)
    return [found[i] for i in range(len(said))]


def _verdict(verdict: Verdict) -> Judged:
    return Judged(verdict.probabilities, verdict.tokens_read)


def _reading(reading: HeadOutput, *, probabilities: bool) -> Judged:
    outputs = reading.probabilities if probabilities and reading.probabilities else reading.outputs
    return Judged(outputs, reading.tokens_read)


def _rendered(judge: JudgeService, comparison: Comparison) -> str:
    if judge.reads is None:
        raise InvalidRequestError(f"{judge.name} has probabilities and no logits: ask for them (use_activation: true).")
    return Template(judge.reads.template).render(comparison)
