"""A judge of either kind as a reward function, called as TRL's trainers call it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tiebreak import Conversation, load_judge, reward_function
from tiebreak.training import TrainingResult

PROMPTS = ["question 1 ?", "question 2 ?", "question 1 ?", "question 1 ?", "question 3 ?"]
COMPLETIONS = ["bad answer", "good", "good answer", "good good", "plain"]


@pytest.fixture(scope="module")
def rewarded(small_run: TrainingResult) -> Any:
    return reward_function(small_run.folder.path)


def test_completions_of_a_prompt_are_scored_against_each_other(rewarded: Any, small_run: TrainingResult) -> None:
    rewards = rewarded(prompts=PROMPTS, completions=COMPLETIONS, completion_ids=[[1]] * 5, source=["x"] * 5)
    ranking = load_judge(small_run.folder.path).rank("question 1 ?", ["bad answer", "good answer", "good good"])
    assert [rewards[i] for i in (0, 2, 3)] == pytest.approx(ranking.rewards, abs=1e-4)
    assert rewards[1] is None  # alone with its prompt
    assert rewards[4] is None
    assert rewarded.__name__ == "tiebreak"


def test_messages_score_as_their_texts(rewarded: Any) -> None:
    texts = rewarded(prompts=PROMPTS, completions=COMPLETIONS)
    messages = rewarded(
        prompts=[[{"role": "user", "content": prompt}] for prompt in PROMPTS],
        completions=[[{"role": "assistant", "content": completion}] for completion in COMPLETIONS],
    )
    assert messages == texts
    history = [{"role": "user", "content": "question 4 ?"}, {"role": "assistant", "content": "plain"}]
    turns = rewarded(
        prompts=[[*history, {"role": "user", "content": "question 5 ?"}]] * 2,
        completions=[[{"role": "assistant", "content": text}] for text in ("good", "bad")],
    )
    assert sum(turns) == pytest.approx(0, abs=1e-9)


def test_what_is_no_text_has_no_reward_and_disturbs_nobody(rewarded: Any) -> None:
    tool = [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": "4"}]
    prompts: list[Any] = ["question 1 ?"] * 3
    rewards = rewarded(prompts=prompts, completions=["good answer", tool, "bad answer"])
    assert rewards[1] is None
    assert [rewards[0], rewards[2]] == rewarded(prompts=prompts[:2], completions=["good answer", "bad answer"])
    assert rewarded(prompts=[], completions=[]) == []
    assert rewarded(prompts=["question 1 ?"] * 2, completions=['["good"]', "[1, 2"])[0] is not None
    with pytest.raises(ValueError, match="3 prompts for 2 completions"):
        rewarded(prompts=prompts, completions=["a", "b"])


def test_a_reward_model_scores_every_completion_by_itself(small_rewards: TrainingResult) -> None:
    run = small_rewards.folder.path
    scores = load_judge(run).score_many(
        [Conversation((p,), (c,)) for p, c in zip(PROMPTS, COMPLETIONS, strict=True)], groups=range(5)
    )
    normalised, raw = reward_function(run), reward_function(run, normalise=False)
    assert normalised(PROMPTS, COMPLETIONS) == pytest.approx([score.normalised for score in scores], abs=1e-4)
    assert raw(PROMPTS, COMPLETIONS) == pytest.approx([score.reward for score in scores], abs=1e-4)
    alone = [raw([prompt], [completion])[0] for prompt, completion in zip(PROMPTS, COMPLETIONS, strict=True)]
    assert alone == pytest.approx([score.reward for score in scores], abs=1e-4)
    tool = [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": "4"}]
    mixed: list[Any] = [COMPLETIONS[0], tool]
    assert raw(PROMPTS[:2], mixed) == [pytest.approx(scores[0].reward, abs=1e-4), None]


def test_calls_at_the_same_time_are_as_calls_one_by_one(small_rewards: TrainingResult) -> None:
    run = small_rewards.folder.path
    awaited, reward = reward_function(run, asynchronous=True), reward_function(run)
    batches = [(PROMPTS[i:], COMPLETIONS[i:]) for i in range(5)] * 4

    async def all_at_once() -> list[list[float | None]]:
        return await asyncio.gather(*(awaited(prompts, completions, source=["x"]) for prompts, completions in batches))

    for together, (prompts, completions) in zip(asyncio.run(all_at_once()), batches, strict=True):
        assert together == pytest.approx(reward(prompts, completions), abs=1e-4)


def test_a_swap_that_depends_on_neighbours_is_refused_before_anything_is_loaded(small_run: TrainingResult) -> None:
    with pytest.raises(ValueError, match=r"uncertain:0.5.*'none' or 'average'"):
        reward_function(small_run.folder.path, swap="uncertain:0.5")


def test_the_call_of_a_tool_has_no_reward(small_rewards: TrainingResult) -> None:
    reward = reward_function(small_rewards.folder.path)
    call = {"role": "assistant", "content": "", "tool_calls": [{"type": "function"}]}
    silent = {"role": "assistant", "content": None}
    empty = {"role": "assistant", "content": ""}
    rewards = reward([PROMPTS[0]] * 3, [[call], [silent], [empty]])
    assert rewards[:2] == [None, None]
    assert rewards[2] is not None  # an empty text is a text
