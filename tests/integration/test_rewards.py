"""The judge as a reward function, called as TRL's trainers call it."""

from __future__ import annotations

from typing import Any

import pytest

from tiebreak import load_judge, reward_function
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
