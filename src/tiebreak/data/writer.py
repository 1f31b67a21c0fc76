"""Comparisons -> a file of votes, in the columns of the LMSYS contest."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from tiebreak.data.layouts import ANSWERS, MARGIN, TAGS, WINNERS
from tiebreak.runs import write_atomically
from tiebreak.types import Comparison


def write_comparisons(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write comparisons with votes as CSV, whole or not at all; `read_votes` reads them back equal.

    Cells of prompt and answers are JSON lists of turns, as in the contest. If some comparison has a margin, there
    is a column for them, and so for each of the tags that are read.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
        ValueError: a comparison has no vote, or a margin to a vote that prefers neither answer.
    """
    margins = any(comparison.margin for comparison in comparisons)
    named = {name for tags in {comparison.tags for comparison in comparisons} for name, _ in tags}
    tagged = [name for name in TAGS if name in named]

    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("id", *ANSWERS, *WINNERS, *((MARGIN,) if margins else ()), *tagged))
            for comparison in comparisons:
                if comparison.vote is None:
                    raise ValueError(f"comparison {comparison.id} has no vote to write")
                if comparison.margin and comparison.vote[0] == comparison.vote[1]:
                    raise ValueError(f"comparison {comparison.id} has a margin, but its vote prefers neither answer")
                turns = (comparison.prompt, comparison.answer_a, comparison.answer_b)
                cells = (json.dumps(list(text), ensure_ascii=False) for text in turns)
                numbers = (*comparison.vote, comparison.margin) if margins else comparison.vote
                tags = dict(comparison.tags)
                rows.writerow((comparison.id, *cells, *map(_number, numbers), *(tags.get(name, "") for name in tagged)))

    write_atomically(path, write)


def _number(value: float) -> str:
    """0 and 1 as the contest writes them, a soft vote and a margin to their last digit."""
    return str(int(value)) if value in (0, 1) else repr(value)
