"""Prompts and answers -> rewards, from either kind of judge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiebreak.serving.errors import InvalidRequestError
from tiebreak.types import Conversation

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService


@dataclass(frozen=True, slots=True)
class AnswerReward:
    """How good an answer is."""

    reward: float
    """In nats; from a judge of pairs of mean 0 over the answers to one prompt."""
    normalised: float
    """In standard deviations around the validation's mean; the reward itself from a judge of pairs."""
    tokens_read: int
    """0 from a judge of pairs: who reads what in a tournament depends on who wins."""


async def rewards_for(
    judge: JudgeService, conversations: Sequence[Conversation], *, truncate: bool = True
) -> list[AnswerReward]:
    """The reward of each answer; a judge of pairs compares those to the same prompt with each other.

    Raises:
        InvalidRequestError: the judge compares answers, and a prompt has only one.
        ServingError: as in `JudgeService`.
    """
    if judge.gives_rewards:
        scores = await judge.score(conversations, truncate=truncate)
        return [AnswerReward(score.reward, score.normalised, score.tokens_read) for score in scores]
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for i, one in enumerate(conversations):
        groups.setdefault((one.prompt, one.answer[:-1]), []).append(i)
    if any(len(group) == 1 for group in groups.values()):
        raise InvalidRequestError(
            f"{judge.name} compares answers to a prompt with each other, and there is one alone: send two or more to "
            "the same prompt, or serve a run that was trained with model.head=pointwise."
        )
    rankings = [
        asyncio.create_task(judge.rank(prompt, [conversations[i].answer for i in group], truncate=truncate))
        for (prompt, _), group in groups.items()
    ]
    found: dict[int, AnswerReward] = {}
    try:
        for group, ranking in zip(groups.values(), await asyncio.gather(*rankings), strict=True):
            found |= {i: AnswerReward(r, r, 0) for i, r in zip(group, ranking.rewards, strict=True)}
    finally:
        for ranking_under_way in rankings:
            ranking_under_way.cancel()
    return [found[i] for i in range(len(conversations))]


async def ranked(
    judge: JudgeService, prompt: str, answers: Sequence[str], *, truncate: bool = True
) -> list[AnswerReward]:
    """The rewards of answers to one prompt, in the order of the answers; one alone is its own tournament.

    Raises:
        ServingError: as in `JudgeService`.
    """
    if judge.gives_rewards or len(answers) > 1:
        return await rewards_for(judge, [Conversation((prompt,), (one,)) for one in answers], truncate=truncate)
    return [AnswerReward(0.0, 0.0, 0)]
