"""What compatibility APIs return, from either kind of judge: probabilities or logits of texts, rewards of answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiebreak.judges.grouping import group_by_prompt
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.types import OUTCOMES, Comparison, Conversation

if TYPE_CHECKING:
    from tiebreak.judges import HeadOutput
    from tiebreak.serving.judge_service import JudgeService


@dataclass(frozen=True, slots=True)
class TextOutput:
    """The judge's output for one text."""

    values: tuple[float, ...]
    """One reward in nats; or logits or probabilities over (A, B, tie)."""
    tokens_read: int


@dataclass(frozen=True, slots=True)
class AnswerReward:
    """The reward of one answer."""

    reward: float
    """In nats; from a pairwise judge with a mean of 0 over the answers to one prompt."""
    normalised: float
    """In standard deviations around the mean of the validation's answers; from a pairwise judge the reward itself."""
    tokens_read: int
    """0 from a pairwise judge: which pairs of a tournament are judged depends on their results."""


def output_labels(judge: JudgeService) -> tuple[str, ...]:
    """Names of a `TextOutput`'s values, as in an export's configuration."""
    return ("reward",) if judge.gives_rewards else OUTCOMES


def logistic(reward: float) -> float:
    """The logistic function of a reward: the probability to win against an answer of reward 0, ties aside.

    >>> logistic(0.0), logistic(-1000.0)
    (0.5, 0.0)
    """
    return 0.5 + 0.5 * math.tanh(reward / 2)


async def compute_outputs(
    judge: JudgeService,
    inputs: Sequence[Conversation | Comparison | Sequence[int]],
    *,
    probabilities: bool,
    truncate: bool = True,
) -> list[TextOutput]:
    """The head's outputs for each input: a reward, or three values over (A, B, tie).

    Args:
        judge: the served judge.
        inputs: conversations, comparisons (judged in the order given only), or token ids of the judge's tokenizer.
        probabilities: return calibrated probabilities instead of logits. It does not change rewards.
        truncate: truncate longer texts as in training; otherwise refuse them.

    Raises:
        ServingError: as in `JudgeService`.
    """
    outputs: dict[int, TextOutput] = {}
    conversations = {i: item for i, item in enumerate(inputs) if isinstance(item, Conversation)}
    comparisons = {i: item for i, item in enumerate(inputs) if isinstance(item, Comparison)}
    token_ids = {i: item for i, item in enumerate(inputs) if not isinstance(item, Conversation | Comparison)}
    if conversations:
        scores = await judge.score(list(conversations.values()), truncate=truncate)
        outputs |= zip(conversations, (TextOutput((score.reward,), score.tokens_read) for score in scores), strict=True)
    if comparisons and probabilities:
        orders = await judge.compare(list(comparisons.values()), swap="none", truncate=truncate)
        verdicts = [TextOutput(verdict.probabilities, verdict.tokens_read) for verdict, _ in orders]
        outputs |= zip(comparisons, verdicts, strict=True)
    elif comparisons:
        heads = await judge.logits(list(comparisons.values()), truncate=truncate)
        outputs |= zip(comparisons, (TextOutput(head.outputs, head.tokens_read) for head in heads), strict=True)
    if token_ids:
        heads = await judge.read(list(token_ids.values()), truncate=truncate)
        outputs |= zip(token_ids, (_head_output(head, probabilities=probabilities) for head in heads), strict=True)
    return [outputs[i] for i in range(len(inputs))]


async def compute_rewards(
    judge: JudgeService, conversations: Sequence[Conversation], *, truncate: bool = True
) -> list[AnswerReward]:
    """The reward of each answer. A pairwise judge compares the answers to the same prompt with each other.

    Raises:
        InvalidRequestError: the judge is pairwise, and a prompt has only one answer.
        ServingError: as in `JudgeService`.
    """
    if judge.gives_rewards:
        scores = await judge.score(conversations, truncate=truncate)
        return [AnswerReward(score.reward, score.normalised, score.tokens_read) for score in scores]
    groups = list(group_by_prompt(conversations).values())
    if any(len(group) == 1 for group in groups):
        raise InvalidRequestError(
            f"{judge.name} is a pairwise judge, but a prompt has only one answer. Send two or more to the same prompt, "
            "or serve a run that was trained with model.head=pointwise."
        )
    tournaments = [
        asyncio.create_task(judge.rank([conversations[i] for i in group], truncate=truncate)) for group in groups
    ]
    rewards: dict[int, AnswerReward] = {}
    try:
        for group, ranking in zip(groups, await asyncio.gather(*tournaments), strict=True):
            rewards |= {i: AnswerReward(r, r, 0) for i, r in zip(group, ranking.rewards, strict=True)}
    finally:
        for tournament in tournaments:
            tournament.cancel()
    return [rewards[i] for i in range(len(conversations))]


async def compute_rewards_for_prompt(
    judge: JudgeService, prompt: str, answers: Sequence[str], *, truncate: bool = True
) -> list[AnswerReward]:
    """The rewards of answers to one prompt, in their order; a single answer has reward 0 from a pairwise judge.

    Raises:
        ServingError: as in `JudgeService`.
    """
    if judge.gives_rewards or len(answers) > 1:
        conversations = [Conversation((prompt,), (answer,)) for answer in answers]
        return await compute_rewards(judge, conversations, truncate=truncate)
    return [AnswerReward(0.0, 0.0, 0)]


def _head_output(head: HeadOutput, *, probabilities: bool) -> TextOutput:
    values = head.probabilities if probabilities and head.probabilities else head.outputs
    return TextOutput(values, head.tokens_read)
