"""A policy learns from a judge: the nano model, as a language model, trained by TRL's GRPO to answer sums.

The judge is a run of `tiebreak demo`. With the pointwise head it scores every completion by itself; with the pairwise
one it compares the completions of a prompt with each other, and what it makes of them is their reward. On a CPU it
takes less than a minute:

    pip install trl
    tiebreak demo --head pointwise
    python examples/grpo.py runs/demo-pointwise
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from statistics import fmean

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from tiebreak import reward_function
from tiebreak.data.synthetic import operand_pairs
from tiebreak.models.nano import NANO_PATH
from tiebreak.rewards import JudgeReward


def sums(pairs: tuple[tuple[int, int], ...]) -> list[str]:
    """The prompts, in either order of the summands."""
    return [f"{a} + {b} = ?" for x, y in pairs for a, b in dict.fromkeys([(x, y), (y, x)])]


def describe(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, reward: JudgeReward, prompts: list[str]
) -> str:
    """How good four sampled completions of each prompt are."""
    torch.manual_seed(1)
    prompts = prompts * 4
    inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(policy.device)
    with torch.no_grad():
        completed = policy.eval().generate(**inputs, max_new_tokens=4, do_sample=True)
    texts = tokenizer.batch_decode(completed[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    right = 0
    for prompt, text in zip(prompts, texts, strict=True):
        a, b = map(int, re.findall(r"\d+", prompt))
        right += re.findall(r"\d+", text)[:1] == [str(a + b)]
    mean = f", mean reward {fmean(reward(prompts, texts)):+.2f}" if reward.scores_alone else ""
    return f"{right / len(prompts):.1%} begin with the right sum{mean}"


def main() -> None:
    """Train the policy and print its share of right answers before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the nano model's matrices are too small to share between cores
    reward = reward_function(arguments.run)
    tokenizer = AutoTokenizer.from_pretrained(NANO_PATH, padding_side="left")
    policy = AutoModelForCausalLM.from_pretrained(NANO_PATH, dtype=torch.float32)
    never_seen = sums(operand_pairs("validation"))  # neither by the judge nor by the policy
    before = describe(policy, tokenizer, reward, never_seen)
    trainer = GRPOTrainer(
        model=policy,
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=str(arguments.run.parent / "grpo"), max_steps=arguments.steps, per_device_train_batch_size=32,
            num_generations=8, max_completion_length=4, learning_rate=3e-4, logging_steps=10, report_to=[],
            save_strategy="no", use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=Dataset.from_dict({"prompt": sums(operand_pairs("train"))}),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    print(f"Completions of {len(never_seen)} sums that neither judge nor policy practised:")
    print(f"  before: {before}")
    print(f"  after:  {describe(policy, tokenizer, reward, never_seen)}")


if __name__ == "__main__":
    main()
