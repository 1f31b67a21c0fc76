"""Policies that learn from a judge: the nano model under TRL's trainers."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.trainer.utils import is_async_callable

from tests.processes import run_processes
from tiebreak import Conversation, load_judge, reward_function
from tiebreak.data.synthetic import operand_pairs
from tiebreak.models.nano import NANO_PATH
from tiebreak.training import TrainingResult

# Of TRL 1.16 against transformers 5.23.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

SAMPLED = {"max_completion_length": 4, "num_generations": 8, "per_device_train_batch_size": 32}


def tokenizer_of_nano() -> Any:
    tokenizer = AutoTokenizer.from_pretrained(NANO_PATH, padding_side="left")
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return tokenizer


def sums(split: Any) -> list[str]:
    return [f"{a} + {b} = ?" for x, y in operand_pairs(split) for a, b in dict.fromkeys([(x, y), (y, x)])]


def train(kind: tuple[Any, Any], reward: Any, folder: Path, prompts: list[Any], **settings: Any) -> Any:
    """The trainer, once it is done."""
    trainer, config = kind
    arguments = config(
        output_dir=str(folder), report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, logging_steps=1,
        learning_rate=3e-4, **(SAMPLED | settings),
    )  # fmt: skip
    done = trainer(
        model=AutoModelForCausalLM.from_pretrained(NANO_PATH, dtype=torch.float32),
        reward_funcs=reward,
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=tokenizer_of_nano(),
    )
    done.train()
    return done


def mean_reward(policy: Any, reward: Callable[..., Any], prompts: list[str]) -> float:
    tokenizer = tokenizer_of_nano()
    torch.manual_seed(1)
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    with torch.no_grad():
        completed = policy.eval().generate(**inputs, max_new_tokens=4, do_sample=True)
    texts = tokenizer.batch_decode(completed[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    rewards = reward(prompts, texts)
    return float(sum(rewards) / len(rewards))


def test_a_policy_learns_from_a_reward_model(pointwise_run: TrainingResult, tmp_path: Path) -> None:
    # From -0.14 to 0.54, 0.61 and 0.73 with three seeds of the trainer (2 CPU cores, 24 November 2026); a mean of 175
    # rewards with a deviation of 1 each has a standard error of 0.08.
    reward = reward_function(pointwise_run.folder.path)
    never_seen = sums("validation")  # neither by the judge nor by the policy
    before = mean_reward(AutoModelForCausalLM.from_pretrained(NANO_PATH, dtype=torch.float32), reward, never_seen)
    trainer = train((GRPOTrainer, GRPOConfig), reward, tmp_path, sums("train"), max_steps=20)
    assert mean_reward(trainer.model, reward, never_seen) > before + 0.4


def test_trl_awaits_an_asynchronous_reward(pointwise_run: TrainingResult, tmp_path: Path) -> None:
    logged = []
    for asynchronous in (False, True):
        reward = reward_function(pointwise_run.folder.path, asynchronous=asynchronous)
        assert is_async_callable(reward) == asynchronous
        trainer = train((GRPOTrainer, GRPOConfig), [reward, _length], tmp_path, sums("train"), max_steps=2)
        logged.append([step["rewards/tiebreak/mean"] for step in trainer.state.log_history[:2]])
    assert len(logged[0]) == 2
    assert logged[1] == pytest.approx(logged[0], abs=1e-5)


async def _length(completions: list[str], **columns: Any) -> list[float]:
    return [-float(len(completion)) for completion in completions]


@pytest.mark.parametrize("head", ["pairwise", "pointwise"])
def test_rloo_of_conversations(
    small_run: TrainingResult, pointwise_run: TrainingResult, tmp_path: Path, head: str
) -> None:
    seen: list[Any] = []
    run = small_run if head == "pairwise" else pointwise_run
    reward = reward_function(run.folder.path, normalise=False)

    def watched(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
        seen.append((prompts, completions, reward(prompts, completions, **columns)))
        return seen[-1][2]

    conversations = [[{"role": "user", "content": prompt}] for prompt in sums("train")[:64]]
    trainer = train((RLOOTrainer, RLOOConfig), watched, tmp_path, conversations, max_steps=2)
    assert len(seen) == 2
    for (prompts, completions, rewards), step in zip(seen, trainer.state.log_history, strict=False):
        assert [message["role"] for message in (*prompts[0], *completions[0])] == ["user", "assistant"]
        assert len(rewards) == len(completions) == 32
        assert all(isfinite(one) for one in rewards)
        assert step["reward"] == pytest.approx(fmean(rewards), abs=1e-5)
        assert step["reward_std"] > 0
    first = seen[0]
    if head == "pointwise":
        pairs = [
            (prompt[0]["content"], completion[0]["content"]) for prompt, completion in zip(*first[:2], strict=True)
        ]
        scores = load_judge(run.folder.path).score_many([Conversation((p,), (c,)) for p, c in pairs])
        assert first[2] == pytest.approx([score.reward for score in scores], abs=1e-4)


def _grpo_in_one_process(run: Path, folder: Path) -> list[Any]:
    """Prompts, completions and rewards of the own process, and the mean reward that TRL logs."""
    reward, seen = reward_function(run), list[Any]()

    def watched(prompts: list[str], completions: list[str], **columns: Any) -> list[float | None]:
        seen.append((prompts, completions, reward(prompts, completions, **columns)))
        return seen[-1][2]

    trainer = train((GRPOTrainer, GRPOConfig), watched, folder, sums("train")[:8], max_steps=2,
                    num_generations=4, per_device_train_batch_size=2)  # fmt: skip
    return [(*call, step["reward_std"]) for call, step in zip(seen, trainer.state.log_history, strict=False)]


def test_a_pairwise_judge_compares_a_group_across_two_processes(small_run: TrainingResult, tmp_path: Path) -> None:
    run = small_run.folder.path
    steps = zip(*run_processes(2, _grpo_in_one_process, tmp_path, run, tmp_path / "policy"), strict=True)
    reward, count = reward_function(run), 0
    for first, second in steps:
        prompts, completions, rewards = (first[i] + second[i] for i in range(3))
        assert prompts == prompts[:1] * 4  # one group on two processes
        assert rewards == pytest.approx(reward(prompts, completions), abs=1e-4)
        assert sum(rewards) == pytest.approx(0, abs=1e-6)
        assert first[3] == second[3] == pytest.approx(torch.tensor(rewards).std().item(), abs=1e-4)
        count += 1
    assert count == 2
