"""From the prompts and completions of a trainer to rewards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Protocol

from tiebreak.data import parse_side
from tiebreak.data.issues import UnreadableError
from tiebreak.data.message_content import TOOL_CALL
from tiebreak.data.messages import ToolCalls, system_message
from tiebreak.judges.prompts import as_messages
from tiebreak.rewards.processes import process_count, rewards_over_processes
from tiebreak.types import Conversation

Text = str | Sequence[Mapping[str, Any]]
"""A text, or a list of messages with `role` and `content`."""


class JudgeReward:
    """The result of `reward_function`: called with prompts and completions, it returns a reward per completion.

    Calls from several threads are run one after the other.

    Args:
        rewards: returns the rewards of conversations; None for those without a reward.
        scores_alone: whether it has a reward for a completion that is alone for its prompt.
        gather: whether a call compares the completions of all processes; see `reward_function`. Ignored with
            `scores_alone`.
        tool_calls: whether completions with tool calls are scored; see `reward_function`.
    """

    __name__ = "tiebreak"
    """The name under which trainers log it."""

    def __init__(
        self,
        rewards: Callable[[Sequence[Conversation]], Sequence[float | None]],
        *,
        scores_alone: bool,
        gather: bool = True,
        tool_calls: ToolCalls = "refuse",
    ) -> None:
        self.scores_alone = scores_alone
        self._gather = gather and not scores_alone
        self._rewards = rewards
        self._tool_calls: ToolCalls = tool_calls
        self._one_at_a_time = threading.Lock()  # modules, token budgets and tokenizers are not thread-safe

    def __call__(self, prompts: Sequence[Text], completions: Sequence[Text], **columns: object) -> list[float | None]:
        """Score completions.

        Args:
            prompts: one per completion. A pairwise judge compares the completions of equal prompts.
            completions: one per prompt, as texts or as lists of messages that end with the assistant's.
            columns: further arguments of trainers (token ids, columns of the dataset); ignored.

        Returns:
            Rewards, as described in `reward_function`; None for a completion that is not a text (a tool call, unless
            the function was made with `tool_calls="text"`, or an image) or, with a pairwise judge, has no other
            completion to compare with.

        Raises:
            ValueError: the numbers of prompts and completions differ.
            MemoryBudgetError, ModelError: as in `Judge.compare_many`.
            TiebreakError: the call of another process failed, whose completions were to be compared.
        """
        del columns
        positions: list[int] = []

        def read() -> list[Conversation]:
            conversations = _conversations(prompts, completions, self._tool_calls)
            positions.extend(conversations)
            return list(conversations.values())

        with self._one_at_a_time:
            rewards = rewards_over_processes(read, self._rewards) if self.gathers else self._rewards(read())
        by_position = dict(zip(positions, rewards, strict=True))
        return [by_position.get(number) for number in range(len(completions))]

    @property
    def gathers(self) -> bool:
        """Whether a call now compares the completions of several processes, which all have to call it."""
        return self._gather and process_count() > 1


class AsyncJudgeReward(Protocol):
    """A `JudgeReward` as a coroutine function."""

    async def __call__(
        self, prompts: Sequence[Text], completions: Sequence[Text], **columns: object
    ) -> list[float | None]:
        """As `JudgeReward`."""


def make_async(reward: JudgeReward) -> AsyncJudgeReward:
    """The same reward as a coroutine function, computed in a thread.

    It is a function because TRL before 1.14 does not recognize objects as asynchronous.
    """
    import asyncio

    async def tiebreak(
        prompts: Sequence[Text], completions: Sequence[Text], **columns: object
    ) -> list[float | None]:  # trainers log its name
        call = partial(reward, prompts, completions, **columns)
        if reward.gathers:
            return await asyncio.get_running_loop().run_in_executor(_in_order(), call)
        return await asyncio.to_thread(call)

    return tiebreak


@cache
def _in_order() -> ThreadPoolExecutor:
    """One thread for all functions that gather: the processes must call them in the same order."""
    return ThreadPoolExecutor(1, thread_name_prefix="tiebreak-rewards")


def _conversations(
    prompts: Sequence[Text], completions: Sequence[Text], tool_calls: ToolCalls
) -> dict[int, Conversation]:
    """The conversations of prompts and completions, by position, without those that do not consist of texts."""
    if len(prompts) != len(completions):
        raise ValueError(
            f"{len(prompts):,} prompts for {len(completions):,} completions: give one prompt per completion"
        )
    pairs = zip(prompts, completions, strict=True)
    read = (_conversation(prompt, completion, tool_calls) for prompt, completion in pairs)
    return {number: conversation for number, conversation in enumerate(read) if conversation is not None}


def _conversation(prompt: Text, completion: Text, tool_calls: ToolCalls) -> Conversation | None:
    """The conversation of a prompt and a completion; None if it does not consist of texts."""
    try:
        asked = as_messages("prompt", prompt, "user")
        reply = as_messages("completion", completion, "assistant")
        has_calls = any(role == TOOL_CALL for role, _ in reply) or _has_no_content(completion)
        if not reply or (has_calls and tool_calls == "refuse"):
            return None
        turns, replies = parse_side("completion", asked, reply, tool_calls=tool_calls)
    except UnreadableError:
        return None
    return Conversation(turns, replies, system_message(reply, asked))


def _has_no_content(completion: Text) -> bool:
    """Whether a message of a completion has nothing instead of a text; an empty text is a text."""
    return not isinstance(completion, str) and any(message.get("content") is None for message in completion)
