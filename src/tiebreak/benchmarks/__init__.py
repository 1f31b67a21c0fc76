"""Benchmarks of judges, each scored by its own rule: RewardBench 1 and 2, LLMBar, JudgeBench, MT-Bench, own pairs."""

from tiebreak.benchmarks.definitions import Choice, Description
from tiebreak.benchmarks.loading import BENCHMARKS, ChoiceItems, Items, PairItems, load_benchmark
from tiebreak.benchmarks.running import Result, run_benchmark, work
from tiebreak.benchmarks.scoring import Score

__all__ = [
    "BENCHMARKS",
    "Choice",
    "ChoiceItems",
    "Description",
    "Items",
    "PairItems",
    "Result",
    "Score",
    "load_benchmark",
    "run_benchmark",
    "work",
]
