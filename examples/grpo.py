"""A policy learns from a judge: the nano model, as a language model, trained by TRL's GRPO to answer sums.

The judge is the run that `tiebreak demo` makes. It compares the completions of a prompt with each other, and what it
makes of them is their reward. On two CPU cores it takes about a minute:

    pip install trl
    tiebreak demo
    python examples/grpo.py runs/demo
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from tiebreak import reward_function
from tiebreak.model.nano import NANO_PATH


def share_right(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> float:
    """In how many of the sampled completions the sum is the first number."""
    torch.manual_seed(1)
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    with torch.no_grad():
        completed = policy.generate(**inputs, max_new_tokens=4, do_sample=True)
    texts = tokenizer.batch_decode(completed[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    right = 0
    for prompt, text in zip(prompts, texts, strict=True):
        a, b = map(int, re.findall(r"\d+", prompt))
        right += re.findall(r"\d+", text)[:1] == [str(a + b)]
    return right / len(prompts)


def main() -> None:
    """Train, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(NANO_PATH, padding_side="left")
    policy = AutoModelForCausalLM.from_pretrained(NANO_PATH, dtype=torch.float32)
    prompts = [f"{a} + {b} = ?" for a in range(50) for b in range(50)]
    random.Random(0).shuffle(prompts)
    held_out, prompts = prompts[:500], prompts[500:]
    before = share_right(policy, tokenizer, held_out)
    trainer = GRPOTrainer(
        model=policy,
        reward_funcs=reward_function(given.run),
        args=GRPOConfig(
            output_dir=str(given.run.parent / "grpo"), max_steps=given.steps, per_device_train_batch_size=32,
            num_generations=8, max_completion_length=4, learning_rate=3e-4, logging_steps=10, report_to=[],
            save_strategy="no", use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    after = share_right(policy, tokenizer, held_out)
    print(f"Right answers to {len(held_out)} sums it did not practise: {before:.1%} before, {after:.1%} after")


if __name__ == "__main__":
    main()
