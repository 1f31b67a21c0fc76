"""Your own file of labelled pairs: how often the labelled answer is preferred."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tiebreak.benchmarks.definitions import Orders, preference, subset_of
from tiebreak.benchmarks.scoring import Score, Total, mean_of, measure
from tiebreak.types import Comparison

RULE: Final = (
    "Accuracy: how often the labelled answer is more likely to win than the other, averaged over both orders, in total "
    "and by the column source or subset. Agreement: how often both orders prefer the same answer. Ties among the "
    "labels "
    "are left out."
)


def score_pairs(comparisons: Sequence[Comparison], orders: Sequence[Orders]) -> list[Score]:
    """Accuracy and agreement of the orders; votes are for A or B."""
    preferences = [[preference(v, c) for v in both] for c, both in zip(comparisons, orders, strict=True)]
    hits = [sum(p > 0 for p in both) / 2 for both in preferences]
    subsets = [subset_of(c) for c in comparisons]
    all_rows = [True] * len(hits)
    ratios = [
        mean_of("all", hits, all_rows, shown=False),
        *(mean_of(one, hits, [s == one for s in subsets]) for one in dict.fromkeys(filter(None, subsets))),
        mean_of("orders agree", [float(first == second) for first, second in preferences], all_rows),
    ]
    return measure(ratios, [Total("accuracy", {"all": 1.0})], [c.folded_prompt for c in comparisons])
