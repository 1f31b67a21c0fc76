"""LLMBar: which of two outputs follows the instruction, one natural and four adversarial sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tiebreak.benchmarks.cells import pair
from tiebreak.benchmarks.definitions import Description, Orders, PairBenchmark, Source, order_preferences, subset_of
from tiebreak.benchmarks.scoring import Score, Total, mean_of, means_by_subset, measure
from tiebreak.data import UnreadableError, short_repr
from tiebreak.types import Comparison

_SETS: Final = ("Natural", "Neighbor", "GPTInst", "GPTOut", "Manual")


def _read(file: str, cells: dict[str, Any]) -> Comparison:
    label = cells.get("label")
    if isinstance(label, bool) or str(label) not in ("1", "2"):
        raise UnreadableError("label", "not_text", f"is {short_repr(label)}: expected 1 or 2")
    return pair(cells, "input", "output_1", "output_2", first_wins=str(label) == "1", subset=_set(file))


def _set(file: str) -> str:
    """The set that a file's path names, as Dataset/LLMBar/Adversarial/Neighbor/dataset.json does; else its folder."""
    path = Path(file)
    for part in (path.stem, *(folder.name for folder in path.parents)):
        words = re.split(r"[\W_]+", part.casefold())
        for name in _SETS:
            if name.casefold() in words:
                return name
    return path.parent.name or path.stem


def _scores(comparisons: Sequence[Comparison], orders: Sequence[Orders]) -> list[Score]:
    """Accuracy, the mean of that in either order; and how often both orders prefer the same output."""
    preferences = order_preferences(comparisons, orders)
    hits = [((first > 0) + (second > 0)) / 2 for first, second in preferences]
    agreement = [float(first == second) for first, second in preferences]
    subsets = [subset_of(c) for c in comparisons]
    names = dict.fromkeys((*_SETS, *subsets))
    ratios = means_by_subset(names, hits, subsets)
    ratios += [mean_of(f"{name}: orders agree", agreement, [subset == name for subset in subsets]) for name in names]
    totals = [
        Total("LLMBar", dict.fromkeys(_SETS, 1.0)),
        Total("LLMBar: orders agree", {f"{name}: orders agree": 1.0 for name in _SETS}),
        Total("Adversarial", dict.fromkeys(_SETS[1:], 1.0)),
    ]
    return measure(ratios, totals, [c.folded_prompt for c in comparisons])


LLMBAR: Final = PairBenchmark(
    about=Description(
        name="llmbar",
        title="LLMBar (Zeng et al. 2024)",
        rule=(
            "Accuracy, the mean of that with either output first, by set and as the mean over sets; and how often both "
            "orders prefer the same output. Without a preference neither is right."
        ),
    ),
    source=Source(
        "princeton-nlp/LLMBar",
        ("**/LLMBar/**/dataset.json", "LLMBar/*/*.parquet", "**/dataset.json", "*.json", "*.jsonl", "*.parquet"),
        "refs/convert/parquet",  # its main branch holds a script that no longer runs
        "its authors' repository on GitHub, princeton-nlp/LLMBar, has it as Dataset/LLMBar",
    ),
    columns=("input", "output_1", "output_2", "label"),
    read=_read,
    score=_scores,
)
"""Z. Zeng et al. (2024), "Evaluating large language models at evaluating instruction following", arXiv:2310.07641."""
