"""Write comparisons to a file of votes, with the columns of the LMSYS Chatbot Arena competition on Kaggle."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from tiebreak.data.layouts import MARGIN_COLUMN, TAG_COLUMNS, TEXT_COLUMNS, WEIGHT_COLUMN, WINNER_COLUMNS
from tiebreak.runs import write_atomically
from tiebreak.types import Comparison


def write_comparisons(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write comparisons with votes as CSV, atomically; `read_votes` reads them back equal.

    Cells of prompt and answers are JSON lists of turns, as in the competition. There is a column of margins if a
    comparison has one, a column of weights if one is not 1, and a column for each tag that `read_votes` reads and a
    comparison has.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
        ValueError: a comparison has no vote, has a margin although its vote prefers neither answer, or has a system
            message, which `without_system` or `replace(comparison, system="")` removes.
    """
    has_margins = any(comparison.margin for comparison in comparisons)
    has_weights = any(comparison.weight != 1 for comparison in comparisons)
    names = {name for tags in {comparison.tags for comparison in comparisons} for name, _ in tags}
    tag_columns = [column for column in TAG_COLUMNS if column in names]

    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            number_columns = (MARGIN_COLUMN,) * has_margins + (WEIGHT_COLUMN,) * has_weights
            rows.writerow(("id", *TEXT_COLUMNS, *WINNER_COLUMNS, *number_columns, *tag_columns))
            for comparison in comparisons:
                vote = comparison.required_vote()
                if comparison.system:
                    raise ValueError(f"comparison {comparison.id} has a system message, which no column holds")
                if comparison.margin and vote[0] == vote[1]:
                    raise ValueError(f"comparison {comparison.id} has a margin, but its vote prefers neither answer")
                turns = (comparison.prompt, comparison.answer_a, comparison.answer_b)
                texts = (json.dumps(list(text), ensure_ascii=False) for text in turns)
                numbers = (*vote, *(comparison.margin,) * has_margins, *(comparison.weight,) * has_weights)
                tags = dict(comparison.tags)
                rows.writerow(
                    (comparison.id, *texts, *map(_number, numbers), *(tags.get(column, "") for column in tag_columns))
                )

    write_atomically(path, write)


def _number(value: float) -> str:
    """0 and 1 as integers, as in the competition; other values with all their digits."""
    return str(int(value)) if value in (0, 1) else repr(float(value))
