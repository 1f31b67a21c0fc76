"""LLMBar: which of two outputs follows the instruction, one natural and four adversarial sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tiebreak.benchmarks.cells import pair
from tiebreak.benchmarks.definitions import Description, Orders, PairBenchmark, Source, preference, subset_of
from tiebreak.benchmarks.scoring import Score, Total, mean_of, measure
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
        found = next((one for one in _SETS if one.casefold() in words), None)
        if found is not None:
            return found
    return path.parent.name or path.stem


def _scores(comparisons: Sequence[Comparison], orders: Sequence[Orders]) -> list[Score]:
    """Accuracy, the mean of that in either order; and how often both orders prefer the same output."""
    said = [[preference(v, c) for v in both] for c, both in zip(comparisons, orders, strict=True)]
    hits = [sum(p > 0 for p in both) / 2 for both in said]
    agree = [float(first == second) for first, second in said]
    subsets = [subset_of(c) for c in comparisons]
    sets = list(dict.fromkeys((*_SETS, *subsets)))
    ratios = [mean_of(one, hits, [s == one for s in subsets]) for one in sets]
    ratios += [mean_of(f"{one}: orders agree", agree, [s == one for s in subsets]) for one in sets]
    totals = [
        Total("LLMBar", dict.fromkeys(_SETS, 1.0)),
        Total("LLMBar: orders agree", {f"{one}: orders agree": 1.0 for one in _SETS}),
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
