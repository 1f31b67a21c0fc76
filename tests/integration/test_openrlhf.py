"""The reward file, loaded and called as OpenRLHF 0.11 does (`SingleTurnAgentExecutor` in openrlhf/utils/agent.py)."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tiebreak import ModelError, RunError, load_judge, reward_function
from tiebreak.rewards.reward_function import shared_reward_function
from tiebreak.training import TrainingResult

PROMPT = "<bos><start_of_turn>user\n{} + 9 = ?<end_of_turn>\n<start_of_turn>model\n"


@pytest.fixture(scope="module")
def path() -> str:
    """What a user's shell puts into `--reward.remote_url $(python -m tiebreak.rewards.openrlhf)`."""
    shown = subprocess.run(
        [sys.executable, "-m", "tiebreak.rewards.openrlhf"], capture_output=True, text=True, check=True, timeout=60
    )
    assert Path(shown.stdout.strip()).is_file()
    assert shown.stderr == ""
    return shown.stdout.strip()


@pytest.fixture
def reward_func(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("reward_func", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reward_func


def test_answers_are_scored_one_a_call(
    reward_func: Any, pointwise_run: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = str(pointwise_run.folder.path)
    monkeypatch.setenv("TIEBREAK_RUN", run)
    sums = list(range(12))
    answers = [x + 9 + x % 2 for x in sums]  # every other one is wrong

    async def execute(x: int, answer: int) -> dict[str, Any]:
        prompt = PROMPT.format(x)
        query = f"{prompt}{answer}<end_of_turn>"
        found: dict[str, Any] = await asyncio.to_thread(reward_func, [query], [prompt], [None])
        return found

    async def all_at_once() -> list[dict[str, Any]]:
        return await asyncio.gather(*map(execute, sums, answers))

    found = asyncio.run(all_at_once())
    rewards = torch.cat([torch.tensor([one["rewards"]]) for one in found])  # as OpenRLHF packs them
    scores = torch.cat([torch.tensor([one["scores"]]) for one in found])
    assert rewards.dtype == torch.float32
    assert rewards.shape == (12,)
    plain = reward_function(run)([f"{x} + 9 = ?" for x in sums], [str(answer) for answer in answers])
    assert rewards.tolist() == pytest.approx(plain, abs=1e-4)
    assert rewards[0::2].min() > rewards[1::2].max()
    assert scores.tolist() == pytest.approx(rewards.sigmoid().tolist())
    assert [one["extra_logs"]["unscored"].flatten()[0].item() for one in found] == [0] * 12
    assert shared_reward_function(run) is shared_reward_function(run)


def test_several_answers_a_call(
    reward_func: Any, pointwise_run: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEBREAK_RUN", str(pointwise_run.folder.path))
    prompts = [PROMPT.format(1), PROMPT.format(2).replace("user", "tool"), PROMPT.format(3)]
    queries = [f"{prompt}{answer}<end_of_turn>" for prompt, answer in zip(prompts, (10, 11, 10), strict=True)]
    with pytest.warns(UserWarning, match="<start_of_turn>tool"):
        found = reward_func(queries, prompts, ["10", "11", "12"], anything=1)
    assert {name: found[name].shape for name in ("rewards", "scores")} == {"rewards": (3,), "scores": (3,)}
    assert found["rewards"].isfinite().all()
    assert found["rewards"][0] > found["rewards"][1] == 0 > found["rewards"][2]  # a tool's message is not a user's
    assert found["extra_logs"]["unscored"].tolist() == [0, 1, 0]


def test_the_policys_template_is_named_by_the_environment(
    reward_func: Any, pointwise_run: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEBREAK_RUN", str(pointwise_run.folder.path))
    monkeypatch.setenv("TIEBREAK_POLICY", "none")
    prompt, answers = "1 + 9 = ?", ["10", "11"]
    expected = reward_func([f"{prompt}{answer}<eos>" for answer in answers], [prompt] * 2, ["10"] * 2)["rewards"]
    assert expected[0] > expected[1]
    monkeypatch.delenv("TIEBREAK_POLICY")
    with pytest.warns(UserWarning, match=r"Answers are not scored \(TIEBREAK_POLICY=auto\).*Set TIEBREAK_POLICY"):
        found = reward_func([f"{prompt}{answer}<eos>" for answer in answers], [prompt] * 2, ["10"] * 2)
    assert found["rewards"].tolist() == [0, 0]
    assert found["extra_logs"]["unscored"].tolist() == [1, 1]
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    rendered = f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    for policy in ("smollm2", "auto"):
        monkeypatch.setenv("TIEBREAK_POLICY", policy)
        found = reward_func([f"{rendered}{answer}<|im_end|>" for answer in answers], [rendered] * 2, ["10"] * 2)
        assert found["rewards"].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    monkeypatch.setenv("TIEBREAK_POLICY", "no/such/model")
    with pytest.raises(ModelError, match=r"tokenizer of the policy no/such/model cannot be loaded.*or one of chatml"):
        reward_func([prompt], [prompt], ["10"])


def test_a_judge_of_pairs_needs_more_than_one_answer(
    reward_func: Any, small_run: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEBREAK_RUN", str(small_run.folder.path))
    monkeypatch.setenv("TIEBREAK_POLICY", "none")
    prompt, answers = "question 1 ?", ["bad answer", "good answer", "good good"]
    queries = [f"{prompt} {answer}" for answer in answers]
    with pytest.raises(ModelError, match=r"passes one answer per call\. .*model\.head=pointwise"):
        reward_func(queries[:1], [prompt], ["x"])
    with pytest.raises(ModelError, match=r"model\.head=pointwise"):
        reward_func([*queries[:2], "question 2 ? good"], [prompt, prompt, "question 2 ?"], ["x"] * 3)
    ranking = load_judge(small_run.folder.path).rank(prompt, answers)
    assert reward_func(queries, [prompt] * 3, ["x"] * 3)["rewards"].tolist() == pytest.approx(ranking.rewards, abs=1e-4)


def test_the_run_is_named_by_the_environment(reward_func: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIEBREAK_RUN", raising=False)
    with pytest.raises(RunError, match=r"TIEBREAK_RUN is not set.*export TIEBREAK_RUN="):
        reward_func(["p a"], ["p"], ["x"])
    monkeypatch.setenv("TIEBREAK_RUN", str(tmp_path / "none"))
    with pytest.raises(RunError, match="none"):
        reward_func(["p a"], ["p"], ["x"])
