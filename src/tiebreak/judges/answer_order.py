"""The order of the answers as an option of judges: which comparisons are judged in both orders."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Literal

import numpy as np

from tiebreak.judges.verdicts import Verdict
from tiebreak.metrics.log_loss import MIN_PROBABILITY

if TYPE_CHECKING:
    from numpy.typing import NDArray

Swap = Literal["none", "average"] | str
"""`none` judges as given; `average` judges both orders and returns the mean, so that position has no effect.

`uncertain:0.33` judges all comparisons as given, then the least certain third of them (by entropy; any share between 0
and 1, rounded up) in the other order too, and returns the mean for these. In Kaggle's WSDM contest this kept nearly all
of the gain of averaging all rows at a third of its cost. Verdicts then depend on the other comparisons of the call.
"""


def swapped_share(swap: Swap) -> float:
    """The share of comparisons judged in both orders: 0 for `none`, 1 for `average`.

    Raises:
        ValueError: `swap` is not a valid `Swap`.

    >>> swapped_share("average"), swapped_share("uncertain:0.33")
    (1.0, 0.33)
    """
    if swap in ("none", "average"):
        return float(swap == "average")
    kind, _, share = swap.partition(":")
    try:
        if kind == "uncertain" and 0 < float(share) < 1:
            return float(share)
    except ValueError:
        pass
    raise ValueError(
        f"swap is {swap!r}: it must be 'none', 'average', or 'uncertain:SHARE' with a share between 0 and 1, for "
        "example 'uncertain:0.33'"
    )


def swapped_count(comparisons: int, swap: Swap) -> int:
    """The number of comparisons that are judged in both orders.

    Raises:
        ValueError: as in `swapped_share`.

    >>> swapped_count(10, "uncertain:0.33"), swapped_count(100, "uncertain:0.07")
    (4, 7)
    """
    return ceil(round(swapped_share(swap) * comparisons, 6))  # 0.07 * 100 is more than 7


def check_rankable_swap(swap: Swap) -> None:
    """Check that `swap` does not depend on the other inputs of a call.

    Raises:
        ValueError: `swap` is neither `none` nor `average`.
    """
    if 0 < swapped_share(swap) < 1:
        raise ValueError(
            f"swap is {swap!r}: rankings take 'none' or 'average'. With 'uncertain', a ranking would depend on the "
            "other rankings of the call."
        )


def swap_verdict(verdict: Verdict) -> Verdict:
    """The same verdict with A and B exchanged."""
    rewards = None if verdict.rewards is None else verdict.rewards[::-1]
    return replace(verdict, model_a=verdict.model_b, model_b=verdict.model_a, rewards=rewards)


def mean_verdict(first: Verdict, second: Verdict) -> Verdict:
    """The mean of the verdicts of both orders, A being the same answer in both; token counts are the first's."""
    return replace(
        first,
        model_a=(first.model_a + second.model_a) / 2,
        model_b=(first.model_b + second.model_b) / 2,
        tie=(first.tie + second.tie) / 2,
    )


def least_certain(probabilities: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Indices of the `count` rows of [n, 3] with the highest entropy, the highest first.

    Entropy rather than the margin between the two likeliest outcomes, because log loss depends on all three.
    """
    entropies = -(probabilities * np.log(np.maximum(probabilities, MIN_PROBABILITY))).sum(axis=1)
    return np.argsort(-entropies, kind="stable")[:count]
