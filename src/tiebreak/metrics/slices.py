"""Where a judge is good and where not: by source, model, number of turns, length and language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.metrics.bootstrap import Bootstrap, Estimate
from tiebreak.metrics.log_loss import log_loss_per_row, validate_rows
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

OTHERS = "others"
MIN_ROWS = 30
"""Fewer rows say next to nothing: at 30 the standard error of an accuracy is 0.09."""
QUARTERS = ("shortest quarter", "second quarter", "third quarter", "longest quarter")


@dataclass(frozen=True, slots=True)
class Slice:
    """How good a judge is on some of the rows."""

    by: str
    """`source`, `model`, `turns`, `length` or `language`."""
    value: str
    """What these rows have in common: a source's name, say, or `others` of values with few rows each."""
    rows: int
    loss: Estimate
    accuracy: Estimate

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
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
    least_rows: int = MIN_ROWS,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Slice, ...]:
    """Log loss and accuracy on parts of the rows, with intervals by the bootstrap over prompts.

    Sources and languages are those of the comparisons' tags. A row is one of a model's if that model gave one of its
    answers, so it counts for two models. Lengths are quarters of the rows by the words of prompt and both answers.
    Where all rows have the same value, or none, there is nothing to break down by, and no row here.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`.
        comparisons: [rows], with votes.
        least_rows: values of fewer rows are pooled as `others`, if they are more than one.
        resamples: as in `Bootstrap`.
        seed: as in `Bootstrap`.
        level: as in `Bootstrap`.

    Returns:
        Rows by source, model, turns, length, language; in each the largest part first (turns and lengths in their
        order), and `others` last.

    Raises:
        ComparisonsError: as `evaluate`.
    """
    given, target = validate_rows(probabilities, [c.vote for c in comparisons])
    if not len(given):
        raise ComparisonsError("There are no rows to break down: give at least one comparison with a vote.")
    columns = np.stack([log_loss_per_row(given, target), given.argmax(axis=1) == target.argmax(axis=1)], axis=1)
    prompts = [c.folded_prompt for c in comparisons]
    found = []
    for by, parts in _parts(comparisons).items():
        if len(parts) < 2:
            continue
        for value, rows in _pooled(parts, least_rows).items():
            bootstrap = Bootstrap(
                len(rows), [prompts[row] for row in rows], resamples=resamples, seed=seed, level=level
            )  # fmt: skip
            loss, accuracy = bootstrap.ratios(columns[rows], bounds=(0.0, [np.inf, 1.0]))
            found.append(Slice(by, value, len(rows), loss, accuracy))
    return tuple(found)


def _parts(comparisons: Sequence[Comparison]) -> dict[str, dict[str, list[int]]]:
    """What is broken down by -> value -> the numbers of the rows, in the order to be shown."""
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
    for by, parts in tagged.items():
        tagged[by] = dict(sorted(parts.items(), key=lambda part: (-len(part[1]), part[0])))
    counted_turns = {f"{n} turn{'' if n == 1 else 's'}": turns[n] for n in sorted(turns)}
    return {
        "source": tagged["source"],
        "model": tagged["model"],
        "turns": counted_turns,
        "length": _quarters(comparisons),
        "language": tagged["language"],
    }


def _quarters(comparisons: Sequence[Comparison]) -> dict[str, list[int]]:
    """Quarters of the rows by length in words; equal lengths are never parted."""
    words = np.array([sum(len(t.split()) for t in (*c.prompt, *c.answer_a, *c.answer_b)) for c in comparisons])
    cuts = np.quantile(words, [0.25, 0.5, 0.75])
    quarter = np.searchsorted(cuts, words, side="left")
    upper = [*(f"up to {int(cut):,} words" for cut in cuts), f"up to {words.max():,} words"]
    names = [f"{name}, {most}" for name, most in zip(QUARTERS, upper, strict=True)]
    return {name: np.flatnonzero(quarter == i).tolist() for i, name in enumerate(names) if (quarter == i).any()}


def _pooled(parts: dict[str, list[int]], least_rows: int) -> dict[str, list[int]]:
    """The parts, those with too few rows as one; a row that falls into two of these counts once."""
    few = [value for value, rows in parts.items() if len(rows) < least_rows]
    if len(few) < 2 and OTHERS not in parts:
        return parts
    whole = {value: rows for value, rows in parts.items() if value not in few and value != OTHERS}
    rest = sorted({row for value in (*few, OTHERS) for row in parts.get(value, ())})
    return whole | {OTHERS: rest}
