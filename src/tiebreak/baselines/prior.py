"""The simplest baseline: the shares of the votes, whatever the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.baselines.base import Baseline, State
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PriorBaseline(Baseline):
    """The shares of the votes, the same for A and B."""

    kind = "prior"

    def __init__(self, shares: NDArray[np.float64], vote_count: int) -> None:
        super().__init__(vote_count)
        self._shares = shares

    @classmethod
    def fit(cls, votes: NDArray[np.float64]) -> Self:
        """Fit to votes [n, 3]."""
        shares = votes.mean(axis=0)
        return cls(average_orders(shares, shares), len(votes))

    def _predict(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        return np.tile(self._shares, (len(comparisons), 1))

    def state(self) -> State:
        """The shares."""
        return {"shares": self._shares, "rows": np.array([self.vote_count])}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The baseline that `state` describes."""
        return cls(arrays["shares"], int(arrays["rows"][0]))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """No names."""
        return ()
