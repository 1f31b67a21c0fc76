"""Comparisons -> a file of votes, in the columns of the LMSYS contest."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from tiebreak.comparison import Comparison
from tiebreak.data.layout import ANSWERS, WINNERS
from tiebreak.run import write_whole


def write_comparisons(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write comparisons with votes as CSV, whole or not at all; `read_votes` reads them back equal.

    Cells of prompt and answers are JSON lists of turns, as in the contest.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
        ValueError: a comparison has no vote.
    """

    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("id", *ANSWERS, *WINNERS))
            for comparison in comparisons:
                if comparison.vote is None:
                    raise ValueError(f"comparison {comparison.id} has no vote to write")
                turns = (comparison.prompt, comparison.answer_a, comparison.answer_b)
                cells = (json.dumps(list(text), ensure_ascii=False) for text in turns)
                rows.writerow((comparison.id, *cells, *map(_number, comparison.vote)))

    write_whole(path, write)


def _number(share: float) -> str:
    """0 and 1 as the contest writes them, a soft vote to its last digit."""
    return str(int(share)) if share in (0, 1) else repr(share)
