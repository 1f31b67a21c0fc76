"""Both orders of a comparison, as arrays: what a judge says of (B, A), told as probabilities of (A, B, tie)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SWAPPED_OUTCOMES: Final = (1, 0, 2)
"""Where each of `OUTCOMES` goes when A and B are exchanged."""


def swap_outcomes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same votes, logits or probabilities [..., 3] with A and B exchanged.

    >>> swap_outcomes(np.array([0.5, 0.3, 0.2])).tolist()
    [0.3, 0.5, 0.2]
    """
    return values[..., SWAPPED_OUTCOMES]


def average_orders(as_given: NDArray[np.float64], swapped: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean [n, 3] of what a judge says of (A, B) and of (B, A).

    Args:
        as_given: [n, 3] over `OUTCOMES`, of the comparisons.
        swapped: [n, 3] over `OUTCOMES`, of the comparisons with their answers exchanged.
    """
    mean: NDArray[np.float64] = (as_given + swap_outcomes(swapped)) / 2
    return mean


def align_orders(judged: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities [n, orders, 3] in which A is the same answer in every order.

    Args:
        judged: [n, orders, 3] over `OUTCOMES`: first of the comparisons as given, then, where there is a second order,
            of the comparisons with their answers exchanged.
    """
    aligned = judged.copy()
    aligned[:, 1:] = swap_outcomes(aligned[:, 1:])
    return aligned
