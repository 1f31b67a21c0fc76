"""The first rung: a judge that has not looked, and knows the votes' shares only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tiebreak.answer_order import swap_outcomes
from tiebreak.baselines.base import Baseline, State
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PriorBaseline(Baseline):
    """The shares of the votes, with A and B taken as one."""

    kind = "prior"

    def __init__(self, shares: NDArray[np.float64], rows: int) -> None:
        self._shares, self._rows = shares, rows

    @classmethod
    def fit(cls, votes: NDArray[np.float64]) -> Self:
        """Fit to votes [n, 3]."""
        shares = votes.mean(axis=0)
        return cls((shares + swap_outcomes(shares)) / 2, len(votes))

    def _raw(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        return np.tile(self._shares, (len(comparisons), 1))

    def state(self) -> State:
        """The shares."""
        return {"shares": self._shares, "rows": np.array([self._rows])}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""
        return cls(arrays["shares"], int(arrays["rows"][0]))

    @property
    def learned_from(self) -> int:
        """How many votes it was fitted on."""
        return self._rows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Nothing."""
        return ()
