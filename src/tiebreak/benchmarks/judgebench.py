"""JudgeBench: which of two answers to a hard question is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tiebreak.benchmarks.cells import name, pair
from tiebreak.benchmarks.definitions import Description, Orders, PairBenchmark, Source, order_preferences, subset_of
from tiebreak.benchmarks.scoring import Score, Total, mean_of, means_by_subset, measure
from tiebreak.data import UnreadableError, short_repr
from tiebreak.types import Comparison

CATEGORIES: Final = {
    "mmlu-pro": "Knowledge",
    "livebench-reasoning": "Reasoning",
    "livebench-math": "Mathematics",
    "livecodebench": "Coding",
}
"""How a row's source begins, and the category that makes it."""


def _read(file: str, cells: dict[str, Any]) -> Comparison:
    label = cells.get("label")
    if label not in ("A>B", "B>A"):
        raise UnreadableError("label", "not_text", f"is {short_repr(label)}: expected A>B or B>A")
    source = name(cells, "source")
    subset = next((category for start, category in CATEGORIES.items() if source.startswith(start)), source)
    return pair(cells, "question", "response_A", "response_B", first_wins=label == "A>B", subset=subset)


def _scores(comparisons: Sequence[Comparison], orders: Sequence[Orders]) -> list[Score]:
    """Right if more orders prefer the right answer than prefer the wrong one."""
    preferences = order_preferences(comparisons, orders)
    hits = [float(first + second > 0) for first, second in preferences]
    subsets = [subset_of(c) for c in comparisons]
    all_rows = [True] * len(hits)
    ratios = [
        mean_of("all", hits, all_rows, shown=False),
        *means_by_subset(dict.fromkeys((*CATEGORIES.values(), *subsets)), hits, subsets),
        mean_of("orders agree", [float(first == second) for first, second in preferences], all_rows),
    ]
    return measure(ratios, [Total("JudgeBench", {"all": 1.0})], [c.folded_prompt for c in comparisons])


JUDGEBENCH: Final = PairBenchmark(
    about=Description(
        name="judgebench",
        title="JudgeBench (Tan et al. 2025)",
        rule=(
            "A pair is judged in both orders, and is right if more orders prefer the right answer than the wrong one; "
            "the score is over all pairs."
        ),
    ),
    source=Source(
        "ScalerLab/JudgeBench", ("data/gpt-*.parquet", "**/*gpt-4o*.jsonl", "**/*gpt*", "*.parquet", "*.jsonl")
    ),
    columns=("question", "response_A", "response_B", "label", "source"),
    read=_read,
    score=_scores,
)
"""S. Tan et al. (2025), "JudgeBench: a benchmark for evaluating LLM-based judges", arXiv:2410.12784; the pairs of
GPT-4o, which its leaderboard goes by."""
