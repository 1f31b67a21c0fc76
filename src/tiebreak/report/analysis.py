"""What the report shows of a run's predictions: metrics, comparisons with other judges, biases, example rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tiebreak.runs import Orders
from tiebreak.types import OUTCOMES, Comparison
from tiebreak.workflows.comparison import JudgeComparison, compare_judges
from tiebreak.workflows.evaluate import measure
from tiebreak.workflows.evaluation_result import EvaluationResult
from tiebreak.workflows.predictions import RunPredictions

MAX_EXAMPLES: Final = 10
"""Rows shown of a kind."""


@dataclass(frozen=True)
class Analysis:
    """See `analyse`."""

    result: EvaluationResult
    others: list[JudgeComparison]
    """The other judges and the guesses, the lowest log loss first."""
    mistakes: list[int]
    """Rows that the judge got wrong, the highest confidence first."""
    ties: list[int]
    """Rows with a vote for a tie, the lowest predicted probability of a tie first."""


def analyse(
    predictions: RunPredictions,
    comparisons: Sequence[Comparison] | None,
    others: Sequence[RunPredictions],
    orders: Orders | None,
) -> Analysis:
    """Measure a run's predictions and choose the rows to show.

    Args:
        predictions: the run's.
        comparisons: [rows], or None if the texts are not known. Intervals resample prompts, or else single rows.
        others: other judges' predictions for the same rows, in the same order.
        orders: the run's probabilities in both orders, if they are known.
    """
    p, votes, weights = predictions.probabilities, predictions.votes, predictions.weights
    counted = np.arange(len(votes)) if weights is None else np.flatnonzero(weights)
    judged, voted = p.argmax(axis=1), np.asarray(votes).argmax(axis=1)
    wrong, ties = np.flatnonzero(judged != voted), np.flatnonzero(voted == OUTCOMES.index("tie"))
    groups = None if comparisons is None else [row.folded_prompt for row in comparisons]
    return Analysis(
        measure(p, votes, comparisons, orders, weights),
        compare_judges(
            p[counted],
            [votes[i] for i in counted],
            {other.name: other.probabilities[counted] for other in others},
            None if groups is None else [groups[i] for i in counted],
            None if weights is None else weights[counted],
        ),
        wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:MAX_EXAMPLES].tolist(),
        ties[np.argsort(p[ties, 2], kind="stable")][:MAX_EXAMPLES].tolist(),
    )
