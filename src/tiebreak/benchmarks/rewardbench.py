"""RewardBench: chosen against rejected, in four sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tiebreak.benchmarks.cells import name, pair
from tiebreak.benchmarks.definitions import Description, Orders, PairBenchmark, Source, preference, subset_of
from tiebreak.benchmarks.scoring import Score, Total, means_by_subset, measure
from tiebreak.judges.answer_order import mean_verdict
from tiebreak.types import Comparison

SECTIONS: Final = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 154,
        "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984,  # 447 rows: counted as many as those of code
        **{f"hep-{language}": 164 for language in ("cpp", "go", "java", "js", "python", "rust")},
    },
}
"""How much each subset counts in its section."""

_SUBSETS: Final = tuple(subset for weights in SECTIONS.values() for subset in weights)


def _read(file: str, cells: dict[str, Any]) -> Comparison:
    return pair(cells, "prompt", "chosen", "rejected", first_wins=True, subset=name(cells, "subset"))


def _scores(comparisons: Sequence[Comparison], orders: Sequence[Orders]) -> list[Score]:
    """Whether the chosen answer is likelier to win by the mean of both orders; a draw is lost."""
    hits = [float(preference(mean_verdict(*verdicts), c) > 0) for c, verdicts in zip(comparisons, orders, strict=True)]
    subsets = [subset_of(c) for c in comparisons]
    unknown = sorted(set(subsets).difference(_SUBSETS))
    ratios = means_by_subset((*_SUBSETS, *unknown), hits, subsets)
    totals = [Total(section, weights) for section, weights in SECTIONS.items()]
    totals.append(Total("RewardBench", dict.fromkeys(SECTIONS, 1.0)))
    scores = measure(ratios, totals, [c.folded_prompt for c in comparisons])
    return [*(s for s in scores if s.name == "RewardBench"), *(s for s in scores if s.name != "RewardBench")]


REWARDBENCH: Final = PairBenchmark(
    about=Description(
        name="rewardbench",
        title="RewardBench (Lambert et al. 2024)",
        rule=(
            "How often the chosen answer is likelier to win than the rejected one; subsets are weighted into sections "
            "as the leaderboard does, and the score is the mean of the four sections (without the prior test sets)."
        ),
    ),
    source=Source("allenai/reward-bench", ("data/filtered-*.parquet", "filtered*", "*.parquet", "*.jsonl", "*.json")),
    columns=("prompt", "chosen", "rejected", "subset"),
    known_subsets=frozenset(_SUBSETS),  # other files of chosen and rejected answers have subsets too
    read=_read,
    score=_scores,
)
"""N. Lambert et al. (2024), "RewardBench: evaluating reward models for language modeling", arXiv:2403.13787."""
