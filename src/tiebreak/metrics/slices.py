"""Metrics on slices of the rows: by source, model, number of turns, length and language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.metrics.intervals import Estimate, GroupedRows
from tiebreak.metrics.log_loss import log_loss_per_row, losses_by_outcome, right_and_wrong, validate_rows
from tiebreak.types import Comparison
from tiebreak.weights import validate_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

OTHERS = "others"
MIN_ROWS = 30
"""Smaller slices are pooled: with 30 rows the standard error of an accuracy is 0.09."""
QUARTILES = ("shortest quarter", "second quarter", "third quarter", "longest quarter")


@dataclass(frozen=True, slots=True)
class Slice:
    """Metrics on the rows that share a value."""

    by: str
    """`source`, `model`, `turns`, `length` or `language`."""
    value: str
    """The shared value, such as the name of a source, or `others` for pooled values with few rows."""
    rows: int
    loss: Estimate
    accuracy: Estimate

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "by": self.by,
            "value": self.value,
            "rows": self.rows,
            "loss": self.loss.to_dict(),
            "accuracy": self.accuracy.to_dict(),
        }


def slice_metrics(
    probabilities: ArrayLike,
    comparisons: Sequence[Comparison],
    *,
    weights: ArrayLike | None = None,
    min_rows: int = MIN_ROWS,
    level: float = 0.95,
) -> tuple[Slice, ...]:
    """Log loss and accuracy on slices of the rows, with intervals over prompts.

    Source, language and models come from the tags of the comparisons. A row belongs to the slices of both models that
    answered. Length has four slices of about the same size, by the words of the prompt and both answers. There are no
    slices by a property that is the same in all rows or missing.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`.
        comparisons: [rows], with votes.
        weights: as in `GroupedRows`; the weights of the comparisons are not read.
        min_rows: slices with fewer rows are pooled as `others`, if there is more than one.
        level: as in `GroupedRows`.

    Returns:
        Slices by source, model, turns, length, language. Within these, the largest slice is first (turns and lengths
        are in ascending order) and `others` is last.

    Raises:
        ComparisonsError: as in `evaluate`.
    """
    p, targets = validate_rows(probabilities, [c.vote for c in comparisons])
    if not len(p):
        raise ComparisonsError("There are no rows to evaluate: give at least one comparison with a vote.")
    w = validate_weights(weights, len(p), positive=True)
    losses = log_loss_per_row(p, targets)[:, None]
    right_or_wrong = (right_and_wrong(p, targets) * losses_by_outcome(p)).sum(axis=2)  # [2, rows]
    correct = (p.argmax(axis=1) == targets.argmax(axis=1))[:, None]
    prompts = [c.folded_prompt for c in comparisons]
    slices = []
    for by, rows_by_value in _group_rows(comparisons).items():
        if len(rows_by_value) < 2:
            continue
        for value, rows in _pool_small(rows_by_value, min_rows).items():
            of_rows = None if w is None else w[rows]
            grouped = GroupedRows(len(rows), [prompts[row] for row in rows], level=level, weights=of_rows)
            rare = grouped.average(right_or_wrong[:, rows], axis=1)[:, None]
            [loss] = grouped.means(losses[rows], rare=rare, bounds=(0.0, np.inf))
            [accuracy] = grouped.proportions(correct[rows])
            slices.append(Slice(by, value, len(rows), loss, accuracy))
    return tuple(slices)


def _group_rows(comparisons: Sequence[Comparison]) -> dict[str, dict[str, list[int]]]:
    """Row numbers by property and value, in the order of the result."""
    tagged: dict[str, dict[str, list[int]]] = {"source": {}, "model": {}, "language": {}}
    turns: dict[int, list[int]] = {}
    for row, comparison in enumerate(comparisons):
        tags = dict(comparison.tags)
        for by, values in (
            ("source", {tags.get("source")}),
            ("language", {tags.get("language")}),
            ("model", {tags.get("model_a"), tags.get("model_b")}),
        ):
            for value in values - {None}:
                tagged[by].setdefault(str(value), []).append(row)
        turns.setdefault(len(comparison.prompt), []).append(row)
    for by, rows_by_value in tagged.items():
        tagged[by] = dict(sorted(rows_by_value.items(), key=lambda item: (-len(item[1]), item[0])))
    rows_by_turns = {f"{n} turn{'' if n == 1 else 's'}": turns[n] for n in sorted(turns)}
    return {
        "source": tagged["source"],
        "model": tagged["model"],
        "turns": rows_by_turns,
        "length": _length_quartiles(comparisons),
        "language": tagged["language"],
    }


def _length_quartiles(comparisons: Sequence[Comparison]) -> dict[str, list[int]]:
    """Row numbers by quartile of the length in words. Equal lengths share a quartile."""
    words = np.array([sum(len(t.split()) for t in (*c.prompt, *c.answer_a, *c.answer_b)) for c in comparisons])
    cuts = np.quantile(words, [0.25, 0.5, 0.75])
    quartile = np.searchsorted(cuts, words, side="left")
    bounds = [*(f"up to {int(cut):,} words" for cut in cuts), f"up to {words.max():,} words"]
    names = [f"{name}, {bound}" for name, bound in zip(QUARTILES, bounds, strict=True)]
    return {name: np.flatnonzero(quartile == i).tolist() for i, name in enumerate(names) if (quartile == i).any()}


def _pool_small(rows_by_value: dict[str, list[int]], min_rows: int) -> dict[str, list[int]]:
    """The row numbers with small values pooled as `others`; a row with two small values counts once."""
    small = [value for value, rows in rows_by_value.items() if len(rows) < min_rows]
    if len(small) < 2 and OTHERS not in rows_by_value:
        return rows_by_value
    large = {value: rows for value, rows in rows_by_value.items() if value not in small and value != OTHERS}
    pooled = sorted({row for value in (*small, OTHERS) for row in rows_by_value.get(value, ())})
    return large | {OTHERS: pooled}
