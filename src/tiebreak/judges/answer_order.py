"""The two orders of a comparison's answers: which comparisons are judged in both, and what both say together."""

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
"""`none` judges as given; `average` judges both orders and takes the mean, so that no side has the first word.

`uncertain:0.33` judges all as given, and then the third (or another share between 0 and 1, rounded up to whole
comparisons) whose verdicts are the least certain, by their entropy, in the other order too: these get the mean. In the
contest after LMSYS's that kept nearly all of what averaging all rows gains, at a third of its price. Which comparisons
are the least certain depends on what else is judged with them, and so do verdicts then.
"""


def swapped_share(swap: Swap) -> float:
    """Which share of the comparisons is judged in both orders: 0 for `none`, 1 for `average`.

    Raises:
        ValueError: it is no `Swap`.

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
        f"swap is {swap!r}: it is one of 'none', 'average', or 'uncertain:SHARE' with a share between 0 and 1, as "
        "'uncertain:0.33'"
    )


def swapped_count(comparisons: int, swap: Swap) -> int:
    """How many of so many comparisons are judged in both orders.

    Raises:
        ValueError: as in `swapped_share`.

    >>> swapped_count(10, "uncertain:0.33"), swapped_count(100, "uncertain:0.07")
    (4, 7)
    """
    return ceil(round(swapped_share(swap) * comparisons, 6))  # 0.07 * 100 is more than 7


def check_rankable_swap(swap: Swap) -> None:
    """Refuse what depends on what else is judged.

    Raises:
        ValueError: `swap` is neither `none` nor `average`.
    """
    if 0 < swapped_share(swap) < 1:
        raise ValueError(
            f"swap is {swap!r}: answers are ranked with 'none' or 'average', since a ranking would depend on what else "
            "is ranked"
        )


def swap_verdict(verdict: Verdict) -> Verdict:
    """What a verdict says of the same answers with A and B exchanged."""
    rewards = None if verdict.rewards is None else verdict.rewards[::-1]
    return replace(verdict, model_a=verdict.model_b, model_b=verdict.model_a, rewards=rewards)


def mean_verdict(first: Verdict, second: Verdict) -> Verdict:
    """The mean of what two orders gave, both told alike; of tokens the first's, as in `Judge.compare_many`."""
    return replace(
        first,
        model_a=(first.model_a + second.model_a) / 2,
        model_b=(first.model_b + second.model_b) / 2,
        tie=(first.tie + second.tie) / 2,
    )


def least_certain(probabilities: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Which of the rows [n, 3] are the `count` of the highest entropy, the highest first.

    Entropy and not the margin of the two likeliest: log loss asks for all three.
    """
    entropies = -(probabilities * np.log(np.maximum(probabilities, MIN_PROBABILITY))).sum(axis=1)
    return np.argsort(-entropies, kind="stable")[:count]
