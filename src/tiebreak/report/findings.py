"""Predictions -> what is worth showing of them: metrics beside others', biases, the rows to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.comparison import OUTCOMES, Comparison
from tiebreak.judging import (
    Bootstrap,
    BreakdownRow,
    Estimate,
    Evaluation,
    LengthBias,
    Preference,
    answer_lengths,
    breakdown,
    evaluate,
    format_bias,
    format_counts,
    length_bias,
)
from tiebreak.report.judged import Judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES = 10
"""Rows shown of a kind."""


@dataclass(frozen=True)
class Standing:
    """A judge beside the run, on the same rows."""

    name: str
    loss: Estimate
    accuracy: Estimate | None
    """None of the uniform guess, which names no outcome."""
    gain: Estimate | None
    """By how much the run's log loss is lower, row by row; None of the run itself."""


@dataclass(frozen=True)
class Findings:
    """See above; what needs texts is empty or None without them."""

    evaluation: Evaluation
    standings: list[Standing]
    parts: tuple[BreakdownRow, ...]
    length: LengthBias | None
    formats: dict[str, Preference]
    mistakes: list[int]
    """Rows that the judge was surest of and wrong about, the surest first."""
    ties: list[int]
    """Rows people called a tie that it gave the least of it, the least first."""


def find(judged: Judged, comparisons: Sequence[Comparison] | None, beside: Sequence[Judged]) -> Findings:
    """Measure a run's predictions.

    Intervals draw whole prompts where texts are known, else single rows.

    Args:
        judged: the run's.
        comparisons: [rows], or None where texts are not known.
        beside: other runs' predictions of the same rows, in the same order.
    """
    p, votes = judged.probabilities, judged.votes
    groups = None if comparisons is None else [c.folded_prompt for c in comparisons]
    evaluation = evaluate(p, votes, groups)
    parts: tuple[BreakdownRow, ...] = ()
    length, formats = None, {}
    if comparisons is not None:
        voted = [replace(c, vote=vote) for c, vote in zip(comparisons, votes, strict=True)]
        parts = breakdown(p, voted)
        length = length_bias(p, votes, *answer_lengths(comparisons), groups)
        formats = format_bias(p, votes, format_counts(comparisons), groups)
    target = np.asarray(votes)
    best, truth = p.argmax(axis=1), target.argmax(axis=1)
    wrong, tied = np.flatnonzero(best != truth), np.flatnonzero(truth == OUTCOMES.index("tie"))
    return Findings(
        evaluation,
        _standings(judged, evaluation, target, beside, Bootstrap(len(p), groups)),
        parts,
        length,
        formats,
        wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:EXAMPLES].tolist(),
        tied[np.argsort(p[tied, 2], kind="stable")][:EXAMPLES].tolist(),
    )


def _standings(
    judged: Judged, evaluation: Evaluation, target: NDArray[np.float64], beside: Sequence[Judged], bootstrap: Bootstrap
) -> list[Standing]:
    """The run first, then the others, then the guesses that anyone can make."""
    own, truth = judged.losses, target.argmax(axis=1)
    standings = [Standing(str(judged.run), evaluation.metrics["loss"], evaluation.metrics["accuracy"], None)]

    def add(name: str, losses: NDArray[np.float64], right: NDArray[np.bool_] | None) -> None:
        hits = np.zeros(len(losses)) if right is None else right
        loss, accuracy, gain = bootstrap.ratios(
            np.stack([losses, hits, losses - own], axis=1), bounds=([0, 0, -np.inf], [np.inf, 1, np.inf])
        )
        standings.append(Standing(name, loss, None if right is None else accuracy, gain))

    for other in beside:
        add(str(other.run), other.losses, other.probabilities.argmax(axis=1) == truth)
    prior = target.mean(axis=0)
    add("these votes' shares", -(target * np.log(np.where(prior > 0, prior, 1))).sum(axis=1), truth == prior.argmax())
    add("a uniform guess", np.full(len(own), log(3)), None)
    return standings
