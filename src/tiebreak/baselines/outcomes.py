"""Votes for scikit-learn, and its classes back as probabilities of the three outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiebreak.answer_order import swap_outcomes
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from numpy.typing import NDArray


def twice(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Votes as given, then those of the swapped comparisons."""
    return np.concatenate([votes, swap_outcomes(votes)])


def hard_labels(votes: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Votes [n, 3] as rows, classes and weights, [m] each: a soft vote stands once for each of its outcomes."""
    rows, classes = np.nonzero(votes)
    return rows, classes, votes[rows, classes]


def outcome_probabilities(logits: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities [n, 3] of logits over some of the outcomes; the others have none.

    Of two classes scikit-learn gives one logit, by how much the second is likelier.
    """
    from scipy.special import softmax

    if len(classes) == 2:
        logits = np.hstack([np.zeros_like(logits), logits])
    probabilities = np.zeros((len(logits), len(OUTCOMES)))
    probabilities[:, classes] = softmax(logits, axis=-1)
    return probabilities
