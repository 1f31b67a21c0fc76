"""Both orders of the answers of a comparison, as arrays.

A judge that reads (B, A) gives probabilities of (B, A, tie). These functions exchange the first two, so that results of
both orders can be compared and averaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SWAPPED_OUTCOMES: Final = (1, 0, 2)
"""The index of each of `OUTCOMES` after A and B are exchanged."""


def swap_outcomes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same votes, logits or probabilities [..., 3] with A and B exchanged.

    >>> swap_outcomes(np.array([0.5, 0.3, 0.2])).tolist()
    [0.3, 0.5, 0.2]
    """
    return values[..., SWAPPED_OUTCOMES]


def average_orders(as_given: NDArray[np.float64], swapped: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over both orders of the answers [..., 3].

    Args:
        as_given: probabilities [..., 3] over `OUTCOMES` for the comparisons as given.
        swapped: probabilities [..., 3] over `OUTCOMES` for the comparisons with their answers exchanged.
    """
    mean: NDArray[np.float64] = (as_given + swap_outcomes(swapped)) / 2
    return mean


def align_orders(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities [n, orders, 3] in which A is the same answer in every order.

    Args:
        probabilities: [n, orders, 3] over `OUTCOMES`: for the comparisons as given and, if there is a second order,
            for the comparisons with their answers exchanged.
    """
    aligned = probabilities.copy()
    aligned[:, 1:] = swap_outcomes(aligned[:, 1:])
    return aligned
