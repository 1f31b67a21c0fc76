"""All benchmarks by name."""

from __future__ import annotations

from typing import Final

from tiebreak.benchmarks.definitions import Benchmark
from tiebreak.benchmarks.judgebench import JUDGEBENCH
from tiebreak.benchmarks.llmbar import LLMBAR
from tiebreak.benchmarks.mt_bench import MT_BENCH
from tiebreak.benchmarks.rewardbench import REWARDBENCH
from tiebreak.benchmarks.rewardbench2 import REWARDBENCH_2

BENCHMARKS: Final[dict[str, Benchmark]] = {
    benchmark.about.name: benchmark for benchmark in (REWARDBENCH, REWARDBENCH_2, LLMBAR, JUDGEBENCH, MT_BENCH)
}
