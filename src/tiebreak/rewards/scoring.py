"""Rewards from a judge that gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tiebreak.types import Conversation

if TYPE_CHECKING:
    from tiebreak.judges import Judge


def scored(judge: Judge, conversations: Sequence[Conversation], normalise: bool) -> list[float]:
    """The reward of each conversation by itself: in the validation answers' standard deviations, or in nats."""
    scores = judge.score_many(conversations)
    return [score.normalised if normalise else score.reward for score in scores]
