"""The second rung: how the answers' length and format differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.baselines.base import Baseline, State, named, under
from tiebreak.baselines.features import ANSWER_FEATURES, SHARED_FEATURES, Features, describe
from tiebreak.baselines.logistic_regression import Linear
from tiebreak.baselines.outcomes import twice
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT: Final = (
    "characters", "words", "lines", "sentences", "paragraphs", "code_fences", "bullets", "numbered", "bold", "headings",
    "tables", "links", "is_empty",
)  # fmt: skip
_SHARED: Final = ("turns", "prompt_characters", "asks_code", "identical", "same_words", "longer_words")


class LengthBaseline(Baseline):
    """Logistic regression on differences of length and format, their sizes, and a little of the prompt."""

    kind = "length"
    _of_answers: ClassVar = [ANSWER_FEATURES.index(name) for name in _FORMAT]
    _of_both: ClassVar = [SHARED_FEATURES.index(name) for name in _SHARED]

    def __init__(self, linear: Linear, deviations: NDArray[np.float64], rows: int) -> None:
        self._linear, self._deviations, self._rows = linear, deviations, rows

    @classmethod
    def fit(cls, comparisons: Sequence[Comparison], votes: NDArray[np.float64], *, c: float) -> Self:
        """Fit to comparisons and votes [n, 3]; `c` is the inverse strength of regularisation."""
        rows = cls._rows_of(describe(comparisons))
        deviations = np.sqrt((np.concatenate(rows) ** 2).mean(axis=0))
        deviations[deviations == 0] = 1.0
        linear = Linear.fit(np.concatenate(rows) / deviations, twice(votes), c)
        return cls(linear, deviations, len(votes))

    @classmethod
    def _rows_of(cls, features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of both orders."""
        differences = (features.a - features.b)[:, cls._of_answers]
        rest = np.hstack([np.abs(differences), features.shared[:, cls._of_both]])
        return np.hstack([differences, rest]), np.hstack([-differences, rest])

    def _raw(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        rows = self._rows_of(describe(comparisons))
        as_given, swapped = (_one_by_one(self._linear, of / self._deviations) for of in rows)
        return average_orders(as_given, swapped)

    def state(self) -> State:
        """The regression's arrays, and what features are divided by."""
        return {
            **named("linear", self._linear.state()), "deviations": self._deviations, "rows": np.array([self._rows]),
        }  # fmt: skip

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""
        linear = Linear.from_state(under("linear", arrays))
        return cls(linear, arrays["deviations"], int(arrays["rows"][0]))

    @property
    def learned_from(self) -> int:
        """How many votes it was fitted on."""
        return self._rows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names, in the order of the regression's weights."""
        return (*(f"{n}: a - b" for n in _FORMAT), *(f"{n}: |a - b|" for n in _FORMAT), *_SHARED)


def _one_by_one(linear: Linear, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """A dense product whose sums come out the same whatever is judged beside: a sparse one adds up row by row."""
    from scipy.sparse import csr_array

    return linear.probabilities(csr_array(rows))
