"""The interface of the baselines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

BaselineKind = Literal["prior", "length", "trees", "tfidf"]

State = dict[str, "NDArray[Any]"]


class Baseline(ABC):
    """A pairwise judge without a language model: fitted to votes, stored as named arrays.

    Args:
        vote_count: the number of votes it was fitted to.
        vote_weight: the sum of their weights; None if each counts as one.
    """

    kind: ClassVar[BaselineKind]

    def __init__(self, vote_count: int, vote_weight: float | None = None) -> None:
        self.vote_count = vote_count
        self.vote_weight = vote_weight

    @abstractmethod
    def _predict(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        """Probabilities [n, 3] before smoothing, the mean over both orders."""

    @abstractmethod
    def state(self) -> State:
        """The arrays for `from_state`."""

    @classmethod
    @abstractmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The baseline that `state` describes."""

    def _count_state(self) -> State:
        """The arrays for `vote_counts`."""
        weight = {} if self.vote_weight is None else {"weight": np.array([self.vote_weight])}
        return {"rows": np.array([self.vote_count]), **weight}

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features; single words are not listed."""

    def probabilities(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        """Probabilities [n, 3] over `OUTCOMES`. The result for a comparison does not depend on the others.

        With n training votes, or weights that sum to n, p becomes (n p + 1) / (n + 3) (Laplace's rule of succession),
        so that an outcome never seen in training keeps some probability.
        """
        n = self.vote_count if self.vote_weight is None else self.vote_weight
        smoothed: NDArray[np.float64] = (self._predict(comparisons) * n + 1) / (n + 3)
        return smoothed


def fitted_votes(votes: NDArray[np.float64], weights: NDArray[np.float64] | None) -> tuple[int, float | None]:
    """`vote_count` and `vote_weight` of a fit to votes [n, 3] with weights [n]."""
    return len(votes), None if weights is None else float(weights.sum())


def vote_counts(arrays: Mapping[str, NDArray[Any]]) -> tuple[int, float | None]:
    """`vote_count` and `vote_weight` of a stored baseline."""
    return int(arrays["rows"][0]), float(arrays["weight"][0]) if "weight" in arrays else None


def add_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> State:
    """The arrays of a component, with `prefix` in front of their names."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def select_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> State:
    """The arrays of a component, under the names that `add_prefix` was given; empty if there are none."""
    return {name.removeprefix(f"{prefix}."): a for name, a in arrays.items() if name.startswith(f"{prefix}.")}
