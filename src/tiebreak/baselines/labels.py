"""Votes as class labels for scikit-learn and LightGBM, and class logits as probabilities of the three outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiebreak.answer_order import swap_outcomes
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from numpy.typing import NDArray


def stack_swapped_votes(votes: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Votes [n, 3] followed by the votes of the swapped comparisons, [2n, 3], each times the weight of its row [n]."""
    weighted = votes if weights is None else votes * weights[:, None]
    return np.concatenate([weighted, swap_outcomes(weighted)])


def hard_labels(votes: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Votes [n, 3] as row numbers, class labels and sample weights, [m] each.

    A soft vote becomes one weighted label for each of its outcomes. The votes of a weighted row sum to its
    weight.
    """
    rows, labels = np.nonzero(votes)
    return rows, labels, votes[rows, labels]


def outcome_probabilities(logits: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities [n, 3] over `OUTCOMES` from logits over the classes seen in training; other outcomes get 0.

    Args:
        logits: [n, classes], or [n, 1] for two classes: scikit-learn then gives the log-odds of the second class.
        classes: the index in `OUTCOMES` of each class.
    """
    from scipy.special import softmax

    if len(classes) == 2:
        logits = np.hstack([np.zeros_like(logits), logits])
    probabilities = np.zeros((len(logits), len(OUTCOMES)))
    probabilities[:, classes] = softmax(logits, axis=-1)
    return probabilities
