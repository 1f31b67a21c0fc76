"""Tiebreak's rules of RewardBench 2's Ties and of JudgeBench beside the benchmarks' own code, on random scores.

    git clone https://github.com/allenai/reward-bench && git clone https://github.com/ScalerLab/JudgeBench
    python perf/rules.py --reward-bench reward-bench --judgebench JudgeBench

The functions are taken out of the clones' files and run as they are; what they import besides is not needed.
"""

from __future__ import annotations

import argparse
import ast
import random
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from tiebreak.benchmarks.definitions import Choice
from tiebreak.benchmarks.judgebench import JUDGEBENCH
from tiebreak.benchmarks.rewardbench2 import REWARDBENCH_2
from tiebreak.judges import Verdict
from tiebreak.types import A_WINS, B_WINS, Comparison

SAID = {"A>B": Verdict(0.6, 0.2, 0.2), "B>A": Verdict(0.2, 0.6, 0.2), "A=B": Verdict(0.3, 0.3, 0.4)}


class Rows(list[dict[str, Any]]):
    """As much of a `datasets.Dataset` as the rule of Ties asks for."""

    column_names = ("results",)

    def remove_columns(self, _: object) -> Rows:
        """Nothing."""
        return self

    def add_column(self, *_: object) -> Rows:
        """Nothing."""
        return self


def functions(file: Path, *names: str) -> dict[str, Any]:
    """Functions of a file, without running the rest of it."""
    found = [n for n in ast.parse(file.read_text()).body if isinstance(n, ast.FunctionDef) and n.name in names]
    space: dict[str, Any] = {"np": np, "defaultdict": defaultdict, "Any": Any}
    space |= {"List": list, "Dict": dict, "Tuple": tuple}
    exec(compile(ast.Module(list(found), []), str(file), "exec"), space)
    return space


def ties(clone: Path) -> float:
    """The largest difference in the score of Ties over 200 random sets."""
    theirs = functions(clone / "rewardbench/utils.py", "_compute_prompt_stats", "process_single_model")
    worst = 0.0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        choices, rewards = [], []
        for number in range(int(rng.integers(1, 12))):
            for kind in ("ref", "tied"):
                right = 1 if kind == "ref" else int(rng.integers(2, 6))
                count = right + int(rng.integers(1, 5))
                drawn = rng.normal(size=count) if seed % 3 else rng.integers(0, 3, size=count).astype(float)
                drawn[:right] += 1.5 * (seed % 2)
                answers = tuple((str(i),) for i in range(count))
                choices.append(Choice(f"{kind}:{number}", "Ties", (f"{kind} {number}",), answers, right))
                rewards.append(drawn.tolist())
        rows = Rows({"id": c.id, "scores": s, "num_correct": c.right} for c, s in zip(choices, rewards, strict=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs divides by a spread of 0
            wanted = theirs["process_single_model"](rows)[1]
        ours = {score.name: score.estimate.value for score in REWARDBENCH_2.score(choices, rewards)}["Ties"]
        worst = max(worst, abs(ours - wanted))
    return worst


def pairs(clone: Path) -> float:
    """The largest difference in JudgeBench's score over 100 random sets of decisions."""
    theirs = functions(clone / "utils/metrics.py", "flip_judgment", "compute_final_metrics")
    worst = 0.0
    for seed in range(100):
        pick = random.Random(seed)
        rows, comparisons, orders = [], [], []
        for number in range(30):
            label = pick.choice(["A>B", "B>A"])
            first, second = (pick.choice(list(SAID)) for _ in range(2))
            judgments = [{"decision": first}, {"decision": theirs["flip_judgment"](second)}]
            rows.append({"label": label, "judgments": judgments})
            vote = A_WINS if label == "A>B" else B_WINS
            comparisons.append(Comparison((str(number),), ("a",), ("b",), vote, tags=(("source", "any"),)))
            orders.append((SAID[first], SAID[second]))
        wanted = theirs["compute_final_metrics"](rows, True) / 100
        worst = max(worst, abs(JUDGEBENCH.score(comparisons, orders)[0].estimate.value - wanted))
    return worst


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reward-bench", type=Path, required=True)
    parser.add_argument("--judgebench", type=Path, required=True)
    given = parser.parse_args()
    print(f"RewardBench 2, Ties: largest difference {ties(given.reward_bench):.1e}")
    print(f"JudgeBench: largest difference {pairs(given.judgebench):.1e}")
