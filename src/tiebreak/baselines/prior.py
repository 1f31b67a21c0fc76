"""The simplest baseline: the shares of the votes, whatever the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.baselines.base import Baseline, State, fitted_votes, vote_counts
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PriorBaseline(Baseline):
    """The shares of the votes, the same for A and B."""

    kind = "prior"

    def __init__(self, shares: NDArray[np.float64], vote_count: int, vote_weight: float | None = None) -> None:
        super().__init__(vote_count, vote_weight)
        self._shares = shares

    @classmethod
    def fit(cls, votes: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> Self:
        """Fit to votes [n, 3] with weights [n]; None if each counts as one."""
        shares = np.average(votes, axis=0, weights=weights)
        return cls(average_orders(shares, shares), *fitted_votes(votes, weights))

    def _predict(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        return np.tile(self._shares, (len(comparisons), 1))

    def state(self) -> State:
        """The shares."""
        return {"shares": self._shares, **self._count_state()}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The baseline that `state` describes."""
        return cls(arrays["shares"], *vote_counts(arrays))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """No names."""
        return ()
