"""The `length` baseline: logistic regression on differences of length and format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.baselines.base import Baseline, State, add_prefix, fitted_votes, select_prefix, vote_counts
from tiebreak.baselines.features import ANSWER_FEATURES, SHARED_FEATURES, extract_features
from tiebreak.baselines.labels import stack_swapped_votes
from tiebreak.baselines.logistic_regression import LogisticRegressionModel
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ANSWER_FEATURES: Final = (
    "characters", "words", "lines", "sentences", "paragraphs", "code_fences", "bullets", "numbered", "bold", "headings",
    "tables", "links", "is_empty",
)  # fmt: skip
_SHARED_FEATURES: Final = ("turns", "prompt_characters", "asks_code", "identical", "same_words", "longer_words")


class LengthBaseline(Baseline):
    """Logistic regression on differences of length and format, their absolute values, and features of the prompt."""

    kind = "length"
    _answer_columns: ClassVar = [ANSWER_FEATURES.index(name) for name in _ANSWER_FEATURES]
    _shared_columns: ClassVar = [SHARED_FEATURES.index(name) for name in _SHARED_FEATURES]

    def __init__(
        self, model: LogisticRegressionModel, deviations: NDArray[np.float64], vote_count: int,
        vote_weight: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(vote_count, vote_weight)
        self._model, self._deviations = model, deviations

    @classmethod
    def fit(
        cls, comparisons: Sequence[Comparison], votes: NDArray[np.float64],
        weights: NDArray[np.float64] | None = None, *, c: float,
    ) -> Self:  # fmt: skip
        """Fit to comparisons and votes [n, 3] with weights [n]; `c` is the inverse of the regularisation strength."""
        rows = np.concatenate(cls._feature_rows(comparisons))
        both = None if weights is None else np.tile(weights, 2)
        deviations = np.sqrt(np.average(rows**2, axis=0, weights=both))
        deviations[deviations == 0] = 1.0
        model = LogisticRegressionModel.fit(rows / deviations, stack_swapped_votes(votes, weights), c)
        return cls(model, deviations, *fitted_votes(votes, weights))

    @classmethod
    def _feature_rows(cls, comparisons: Sequence[Comparison]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Feature rows of the comparisons as given and swapped, [n, features] each."""
        features = extract_features(comparisons)
        differences = (features.a - features.b)[:, cls._answer_columns]
        symmetric = np.hstack([np.abs(differences), features.shared[:, cls._shared_columns]])
        return np.hstack([differences, symmetric]), np.hstack([-differences, symmetric])

    def _predict(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        from scipy.sparse import csr_array

        # A sparse product sums row by row, so that the result for a row does not depend on the size of the batch.
        as_given, swapped = (
            self._model.probabilities(csr_array(rows / self._deviations)) for rows in self._feature_rows(comparisons)
        )
        return average_orders(as_given, swapped)

    def state(self) -> State:
        """The arrays of the regression, and the scale of each feature."""
        return {
            **add_prefix("linear", self._model.state()), "deviations": self._deviations,
            **self._count_state(),
        }  # fmt: skip

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The baseline that `state` describes."""
        model = LogisticRegressionModel.from_state(select_prefix("linear", arrays))
        return cls(model, arrays["deviations"], *vote_counts(arrays))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names, in the order of the regression's weights."""
        return (
            *(f"{name}: a - b" for name in _ANSWER_FEATURES),
            *(f"{name}: |a - b|" for name in _ANSWER_FEATURES),
            *_SHARED_FEATURES,
        )
