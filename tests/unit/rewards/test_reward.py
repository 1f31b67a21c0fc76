"""What a reward function does with whichever judge."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tiebreak import Conversation, reward_function
from tiebreak.judges.grouping import group_by_prompt
from tiebreak.rewards import JudgeReward
from tiebreak.rewards.judge_reward import make_async
from tiebreak.rewards.rendered_text import rewards_of_rendered_text


def lengths(conversations: Sequence[Conversation]) -> list[float | None]:
    return [float(len(conversation.answer[-1])) for conversation in conversations]


def test_only_conversations_reach_the_judge() -> None:
    reward = JudgeReward(lengths, scores_alone=True)
    tool = [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": "4"}]
    image = [{"role": "assistant", "content": [{"type": "image", "image": "x"}]}]
    completions: list[Any] = ["abc", tool, [{"role": "assistant", "content": "ab"}], image, [], ""]
    assert reward(["p"] * 6, completions) == [3, None, 2, None, None, 0]
    assert reward([], []) == []
    with pytest.raises(ValueError, match="2 prompts for 1 completions"):
        reward(["p", "p"], ["a"])


def test_a_misspelt_option_is_refused_before_a_judge_is_loaded() -> None:
    options: dict[str, Any] = {"tool_calls": "texts"}
    with pytest.raises(ValueError, match="tool_calls is 'texts': expected 'refuse' or 'text'"):
        reward_function("no/run", **options)


def test_a_system_message_is_known_as_such() -> None:
    seen: list[Conversation] = []

    def see(conversations: Sequence[Conversation]) -> list[float | None]:
        seen.extend(conversations)
        return [0.0] * len(conversations)

    reward = JudgeReward(see, scores_alone=True)
    system, user = {"role": "system", "content": "S\ud800"}, {"role": "user", "content": "p"}
    reward([[system, user], "S\n\np", [user]], ["a", "a", [system, user, {"role": "assistant", "content": "a"}]])
    assert seen == [
        Conversation(("S\ufffd\n\np",), ("a",), "S\ufffd"),
        Conversation(("S\n\np",), ("a",)),
        Conversation(("S\ufffd\n\np",), ("a",), "S\ufffd"),
    ]
    chat = "<|im_start|>{}\n{}<|im_end|>\n"
    prompt = chat.format("system", "Be kind.") + chat.format("user", "p") + "<|im_start|>assistant\n"
    seen.clear()
    rewards_of_rendered_text(reward, [prompt], [f"{prompt}a<|im_end|>"])
    assert seen == [Conversation(("Be kind.\n\np",), ("a",), "Be kind.")]


def test_equal_texts_with_and_without_a_system_message_are_not_compared() -> None:
    with_system = Conversation(("S\n\np",), ("a",), "S")
    assert list(group_by_prompt([with_system, Conversation(("S\n\np",), ("b",))]).values()) == [[0], [1]]


def test_a_loop_may_call_it_by_position_or_by_name() -> None:
    reward = JudgeReward(lengths, scores_alone=True)
    assert reward(["p"], ["abc"]) == reward(prompts=["p"], completions=["abc"], completion_ids=[[1]], answer=["4"])


def test_threads_wait_for_each_other() -> None:
    inside = 0

    def alone(conversations: Sequence[Conversation]) -> list[float | None]:
        nonlocal inside
        inside += 1
        time.sleep(0.002)  # long enough for others to come in, if they could
        seen = inside
        inside -= 1
        return [float(seen)] * len(conversations)

    reward = JudgeReward(alone, scores_alone=True)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: reward(["p"], ["a"]), range(40)))
    assert found == [[1.0]] * 40


def test_an_awaited_reward_lets_the_event_loop_go_on() -> None:
    begun, done = threading.Event(), threading.Event()

    def waits(conversations: Sequence[Conversation]) -> list[float | None]:
        begun.set()
        return [float(done.wait(timeout=60))] * len(conversations)

    reward = make_async(JudgeReward(waits, scores_alone=True))

    async def loop() -> list[Any]:
        first, second = asyncio.create_task(reward(["p"], ["a"])), asyncio.create_task(reward(["p"], ["b"], n=[1]))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        done.set()  # this is reached only because nothing blocks the loop
        return await asyncio.gather(first, second)

    assert asyncio.run(loop()) == [[1.0], [1.0]]
    assert inspect.iscoroutinefunction(reward)  # all that TRL before 1.14 looks at
    assert reward.__name__ == JudgeReward(lengths, scores_alone=True).__name__ == "tiebreak"  # by which TRL logs it


def test_what_the_judge_raises_is_raised_and_the_next_call_works() -> None:
    asked = iter([RuntimeError("no"), None])

    def once(conversations: Sequence[Conversation]) -> list[float | None]:
        trouble = next(asked)
        if trouble is not None:
            raise trouble
        return lengths(conversations)

    reward = JudgeReward(once, scores_alone=True)
    with pytest.raises(RuntimeError, match="no"):
        reward(["p"], ["a"])
    assert reward(["p"], ["a"]) == [1.0]
