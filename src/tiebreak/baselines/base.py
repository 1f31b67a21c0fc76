"""What every classical judge can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from tiebreak.types import Comparison

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BaselineKind = Literal["prior", "length", "trees", "tfidf"]

State = dict[str, "NDArray[Any]"]


class Baseline(ABC):
    """A classical judge: fitted on votes, and kept as named arrays."""

    kind: ClassVar[BaselineKind]

    @abstractmethod
    def _raw(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        """Probabilities [n, 3], the mean over both orders."""

    @abstractmethod
    def state(self) -> State:
        """Arrays that `from_state` makes it from again."""

    @classmethod
    @abstractmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""

    @property
    @abstractmethod
    def learned_from(self) -> int:
        """How many votes it was fitted on."""

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """What it looks at, but for single words."""

    def probabilities(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        """Probabilities [n, 3] over `OUTCOMES`; what is judged beside a comparison changes nothing.

        After n votes each outcome gets a share of 1 / (n + 3) (Laplace's rule of succession), so that what was never
        seen is not held impossible.
        """
        votes = self.learned_from
        smoothed: NDArray[np.float64] = (self._raw(comparisons) * votes + 1) / (votes + 3)
        return smoothed


def named(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> State:
    """The arrays of a part, under names of its own in the whole."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> State:
    """What `named` was given; none of a part that is not there."""
    return {name.removeprefix(f"{prefix}."): a for name, a in arrays.items() if name.startswith(f"{prefix}.")}
