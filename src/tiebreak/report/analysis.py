"""Predictions -> what is worth showing of them: metrics beside others', biases, the rows to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.metrics import (
    Bootstrap,
    Estimate,
    Evaluation,
    LengthBias,
    PositionBias,
    Preference,
    Slice,
    answer_lengths,
    evaluate,
    format_bias,
    format_counts,
    length_bias,
    position_bias,
    slice_metrics,
)
from tiebreak.report.baselines import BASELINE_NAMES
from tiebreak.report.predictions import Judged
from tiebreak.runs import Orders
from tiebreak.types import OUTCOMES, Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES = 10
"""Rows shown of a kind."""


@dataclass(frozen=True)
class ComparisonRow:
    """A judge beside the run, on the same rows."""

    name: str
    loss: Estimate
    accuracy: Estimate | None
    """None of the uniform guess, which names no outcome."""
    gain: Estimate | None
    """By how much the run's log loss is lower, row by row; None of the run itself."""


@dataclass(frozen=True)
class Analysis:
    """See above; what needs texts is empty or None without them."""

    evaluation: Evaluation
    standings: list[ComparisonRow]
    parts: tuple[Slice, ...]
    position: PositionBias | None
    """None where the rows were not judged in both orders, or where that makes no difference."""
    length: LengthBias | None
    formats: dict[str, Preference]
    mistakes: list[int]
    """Rows that the judge was surest of and wrong about, the surest first."""
    ties: list[int]
    """Rows people called a tie that it gave the least of it, the least first."""


def find(
    judged: Judged, comparisons: Sequence[Comparison] | None, beside: Sequence[Judged], orders: Orders | None
) -> Analysis:
    """Measure a run's predictions.

    Intervals draw whole prompts where texts are known, else single rows.

    Args:
        judged: the run's.
        comparisons: [rows], or None where texts are not known.
        beside: other judges' predictions of the same rows, in the same order.
        orders: what the run says with A first and with B first.
    """
    p, votes = judged.probabilities, judged.votes
    groups = None if comparisons is None else [c.folded_prompt for c in comparisons]
    evaluation = evaluate(p, votes, groups)
    parts: tuple[Slice, ...] = ()
    length, formats = None, {}
    if comparisons is not None:
        voted = [replace(c, vote=vote) for c, vote in zip(comparisons, votes, strict=True)]
        parts = slice_metrics(p, voted)
        length = length_bias(p, votes, *answer_lengths(comparisons), groups)
        formats = format_bias(p, votes, format_counts(comparisons), groups)
    target = np.asarray(votes)
    best, truth = p.argmax(axis=1), target.argmax(axis=1)
    wrong, tied = np.flatnonzero(best != truth), np.flatnonzero(truth == OUTCOMES.index("tie"))
    return Analysis(
        evaluation,
        _standings(judged, evaluation, target, beside, Bootstrap(len(p), groups)),
        parts,
        None if orders is None else position_bias(orders.as_given, orders.swapped, votes, groups),
        length,
        formats,
        wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:EXAMPLES].tolist(),
        tied[np.argsort(p[tied, 2], kind="stable")][:EXAMPLES].tolist(),
    )


def _standings(
    judged: Judged, evaluation: Evaluation, target: NDArray[np.float64], beside: Sequence[Judged], bootstrap: Bootstrap
) -> list[ComparisonRow]:
    """The run first, then all others, the best first."""
    own, truth = judged.losses, target.argmax(axis=1)
    standings = [ComparisonRow(judged.name, evaluation.metrics["loss"], evaluation.metrics["accuracy"], None)]

    def add(name: str, losses: NDArray[np.float64], right: NDArray[np.bool_] | None) -> None:
        hits = np.zeros(len(losses)) if right is None else right
        loss, accuracy, gain = bootstrap.ratios(
            np.stack([losses, hits, losses - own], axis=1), bounds=([0, 0, -np.inf], [np.inf, 1, np.inf])
        )
        standings.append(ComparisonRow(name, loss, None if right is None else accuracy, gain))

    for other in beside:
        add(other.name, other.losses, other.probabilities.argmax(axis=1) == truth)
    if not any(other.name == BASELINE_NAMES["prior"] for other in beside):
        prior = target.mean(axis=0)
        losses = -(target * np.log(np.where(prior > 0, prior, 1))).sum(axis=1)
        add("shares of these votes", losses, truth == prior.argmax())
    guess = "a uniform guess" if evaluation.knows_ties else "a uniform guess between A and B"
    add(guess, np.full(len(own), evaluation.uniform_loss), None)
    return [standings[0], *sorted(standings[1:], key=lambda standing: standing.loss.value)]
