"""The best of N answers: the nano model, as a language model, answers sums; a judge picks among its answers.

The judge is a run of `tiebreak demo`, of either head. On a CPU it takes seconds with the pointwise head, and about a
minute with the pairwise one, which compares the answers with each other:

    tiebreak demo --head pointwise
    python examples/best_of_n.py runs/demo-pointwise
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tiebreak import load_judge
from tiebreak.data.synthetic import operand_pairs
from tiebreak.models.nano import NANO_PATH


def sample(prompts: list[str], each: int) -> list[list[str]]:
    """So many completions of each prompt."""
    tokenizer = AutoTokenizer.from_pretrained(NANO_PATH, padding_side="left")
    policy = AutoModelForCausalLM.from_pretrained(NANO_PATH, dtype=torch.float32)
    torch.manual_seed(1)
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    completed = policy.generate(**inputs, max_new_tokens=4, do_sample=True, num_return_sequences=each)
    texts = tokenizer.batch_decode(completed[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    return [texts[i : i + each] for i in range(0, len(texts), each)]


def is_right(prompt: str, completion: str) -> bool:
    """Whether the completion's first number is the sum."""
    a, b = map(int, re.findall(r"\d+", prompt))
    return re.findall(r"\d+", completion)[:1] == [str(a + b)]


def main() -> None:
    """Sample, pick, and say how many are right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the nano model's matrices are too small to share between cores
    judge = load_judge(arguments.run)
    prompts = [f"{a} + {b} = ?" for a, b in operand_pairs("validation")]  # the judge did not practise these
    completions = sample(prompts, 16)
    print(f"{len(prompts)} sums. Right answers when the judge picks the best of")
    for n in (1, 2, 4, 8, 16):
        picked = [
            answers[judge.rank(prompt, answers[:n]).best] for prompt, answers in zip(prompts, completions, strict=True)
        ]
        right = sum(map(is_right, prompts, picked)) / len(prompts)
        reachable = sum(
            any(is_right(p, c) for c in answers[:n]) for p, answers in zip(prompts, completions, strict=True)
        )
        print(f"{n:>4}: {right:6.1%}   (a right one is among them for {reachable / len(prompts):.1%})")


if __name__ == "__main__":
    main()
