"""Your own file of labelled pairs: how often the labelled answer is preferred."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tiebreak.benchmarks.definitions import Orders, order_preferences, subset_of
from tiebreak.benchmarks.scoring import Score, Total, mean_of, means_by_subset, measure
from tiebreak.types import Comparison
from tiebreak.weights import row_weights

RULE: Final = (
    "Accuracy: how often the labelled answer is more likely to win than the other, averaged over both orders, in total "
    "and by the column source or subset. Agreement: how often both orders prefer the same answer. Ties among the "
    "labels and rows of weight 0 are left out; other rows count by their weight."
)


def score_pairs(comparisons: Sequence[Comparison], orders: Sequence[Orders]) -> list[Score]:
    """Accuracy and agreement of the orders; votes are for A or B, and weights are above 0."""
    preferences = order_preferences(comparisons, orders)
    hits = [((first > 0) + (second > 0)) / 2 for first, second in preferences]
    subsets = [subset_of(c) for c in comparisons]
    all_rows = [True] * len(hits)
    ratios = [
        mean_of("all", hits, all_rows, shown=False),
        *means_by_subset(dict.fromkeys(filter(None, subsets)), hits, subsets),
        mean_of("orders agree", [float(first == second) for first, second in preferences], all_rows),
    ]
    groups = [c.folded_prompt for c in comparisons]
    return measure(ratios, [Total("accuracy", {"all": 1.0})], groups, row_weights(comparisons))
