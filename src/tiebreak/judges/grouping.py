"""Conversations grouped by what their answers reply to."""

from __future__ import annotations

from collections.abc import Sequence

from tiebreak.types import Conversation

Prompt = tuple[str, tuple[str, ...], tuple[str, ...]]
"""The system message, the prompt, and the replies to all of its turns but the last."""


def group_by_prompt(conversations: Sequence[Conversation]) -> dict[Prompt, list[int]]:
    """Indices of the conversations that differ in their last reply only, by what they share.

    >>> texts = [("1 + 1?", "2"), ("Hi", "Hello"), ("1 + 1?", "3")]
    >>> sides = [Conversation((prompt,), (answer,)) for prompt, answer in texts]
    >>> list(group_by_prompt(sides).values())
    [[0, 2], [1]]
    """
    groups: dict[Prompt, list[int]] = {}
    for index, conversation in enumerate(conversations):
        groups.setdefault((conversation.system, conversation.prompt, conversation.answer[:-1]), []).append(index)
    return groups
