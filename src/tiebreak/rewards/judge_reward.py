"""Prompts and completions, as trainers hand them on -> conversations -> rewards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tiebreak.data import Message, parse_messages, parse_side, replace_lone_surrogates
from tiebreak.data.issues import UnreadableError
from tiebreak.types import Conversation

Text = str | Sequence[Mapping[str, Any]]
"""A text, or a list of messages with `role` and `content`."""


class JudgeReward:
    """What `reward_function` makes: called with prompts and completions, it returns a reward for each completion.

    It may be called from several threads at once; they wait for each other.

    Args:
        rewards: the rewards of conversations, None for those it has none for.
        scores_alone: whether it has one for a completion whose prompt has no other.
    """

    __name__ = "tiebreak"
    """By which trainers log it."""

    def __init__(
        self, rewards: Callable[[Sequence[Conversation]], Sequence[float | None]], *, scores_alone: bool
    ) -> None:
        self.scores_alone = scores_alone
        self._rewards = rewards
        self._one_at_a_time = threading.Lock()  # neither a module's mode, its token budget nor a tokenizer is shared

    def __call__(self, prompts: Sequence[Text], completions: Sequence[Text], **columns: object) -> list[float | None]:
        """Score completions.

        Args:
            prompts: one a completion. For a judge of pairs a prompt stands several times, its completions are compared.
            completions: one a prompt; as texts, or as lists of messages that end in the assistant's.
            columns: what else trainers hand on (token ids, columns of the dataset); not looked at.

        Returns:
            Rewards, as `reward_function` says of each kind of judge; None for a completion that is no text in answer to
            its prompt (a call of a tool, an image) or, with a judge of pairs, has no other to be compared with.

        Raises:
            ValueError: there are not as many prompts as completions.
            MemoryBudgetError, ModelError: as in `Judge.compare_many`.
        """
        del columns
        if len(prompts) != len(completions):
            raise ValueError(f"{len(prompts):,} prompts for {len(completions):,} completions: give one for each")
        read = [_conversation(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]
        readable = {number: conversation for number, conversation in enumerate(read) if conversation is not None}
        with self._one_at_a_time:
            found = dict(zip(readable, self._rewards(list(readable.values())), strict=True))
        return [found.get(number) for number in range(len(read))]


class AsyncJudgeReward(Protocol):
    """A `JudgeReward` to be awaited."""

    async def __call__(
        self, prompts: Sequence[Text], completions: Sequence[Text], **columns: object
    ) -> list[float | None]:
        """As `JudgeReward`."""


def make_async(reward: JudgeReward) -> AsyncJudgeReward:
    """The same reward as a coroutine function: it is computed in a thread, and the event loop goes on meanwhile.

    A function, as TRL before 1.14 takes no object for asynchronous.
    """
    import asyncio

    async def tiebreak(
        prompts: Sequence[Text], completions: Sequence[Text], **columns: object
    ) -> list[float | None]:  # its name is what trainers log
        return await asyncio.to_thread(reward, prompts, completions, **columns)

    return tiebreak


def _conversation(prompt: Text, completion: Text) -> Conversation | None:
    """What the user said and what was replied; None where that is no conversation of texts."""
    try:
        if not isinstance(completion, str) and any(_calls_a_tool(message) for message in completion):
            return None
        asked, replied = _messages("prompt", prompt, "user"), _messages("completion", completion, "assistant")
        if not replied:
            return None
        turns, replies = parse_side("completion", asked, replied)
    except UnreadableError:
        return None
    return Conversation(turns, replies).map_texts(lambda text: replace_lone_surrogates(text)[0])


def _calls_a_tool(message: Mapping[str, Any]) -> bool:
    """Whether a message is a call, or nothing at all, in the place of a text; an empty text is one."""
    return message.get("content") is None or bool(message.get("tool_calls"))


def _messages(column: str, text: Text, role: str) -> tuple[Message, ...]:
    if isinstance(text, str):
        return ((role, text),)  # whatever it looks like: policies write JSON
    return parse_messages(column, [dict(message) for message in text], role=role)
