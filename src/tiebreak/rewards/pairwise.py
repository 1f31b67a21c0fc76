"""Rewards from a judge of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tiebreak.types import Conversation

if TYPE_CHECKING:
    from tiebreak.judges import Judge, Swap


def compared(judge: Judge, conversations: Sequence[Conversation], swap: Swap) -> list[float | None]:
    """The rewards, in nats, of conversations that are compared with those that differ in the last reply alone.

    They are of mean 0 over these. None for a conversation that has no such other.
    """
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for number, conversation in enumerate(conversations):
        groups.setdefault((conversation.prompt, conversation.answer[:-1]), []).append(number)
    several = {key: numbers for key, numbers in groups.items() if len(numbers) > 1}
    rankings = judge.rank_many(
        [(prompt, [conversations[i].answer for i in numbers]) for (prompt, _), numbers in several.items()], swap=swap
    )
    rewards: list[float | None] = [None] * len(conversations)
    for numbers, ranking in zip(several.values(), rankings, strict=True):
        for number, reward in zip(numbers, ranking.rewards, strict=True):
            rewards[number] = reward
    return rewards
