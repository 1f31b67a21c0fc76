"""Benchmarks of judges, one file each, scored by their own rules: RewardBench 1 and 2, LLMBar, JudgeBench, MT-Bench.

To add a benchmark, write a file like `llmbar.py` (a `PairBenchmark`: two answers per row) or `rewardbench2.py` (a
`ChoiceBenchmark`: any number of answers per row) that says where its files are, which columns they have, how a row is
read and how rows are scored. Then add it to `BENCHMARKS` in `registry.py`, and its rule to
`tests/unit/benchmarks/test_rules.py`. `labelled_pairs.py` scores your own files.
"""

from tiebreak.benchmarks.definitions import Choice, Description
from tiebreak.benchmarks.loading import ChoiceItems, Items, PairItems, load_benchmark
from tiebreak.benchmarks.registry import BENCHMARKS
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
