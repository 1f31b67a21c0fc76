"""Benchmarks of judges, each scored by its own rule: RewardBench 1 and 2, LLMBar, JudgeBench, MT-Bench, own pairs."""

from tiebreak.benchmark.described import Choice, Description
from tiebreak.benchmark.load import BENCHMARKS, ChoiceItems, Items, PairItems, load_benchmark
from tiebreak.benchmark.run import Result, run_benchmark, work
from tiebreak.benchmark.scores import Score

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
