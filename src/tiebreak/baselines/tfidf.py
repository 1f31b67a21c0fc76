"""The third rung: the words in which the answers differ, and the prompt's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.baselines.base import Baseline, State, named, under
from tiebreak.baselines.logistic_regression import Linear
from tiebreak.baselines.outcomes import twice
from tiebreak.baselines.vectorizers import Vocabulary, normalised_words, texts_of
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TfidfBaseline(Baseline):
    """Logistic regression on TF-IDF: how the answers' words differ, how much they differ, and the prompt's words."""

    kind = "tfidf"

    def __init__(self, vocabulary: Vocabulary, linear: Linear, rows: int) -> None:
        self._vocabulary, self._linear, self._rows = vocabulary, linear, rows

    @classmethod
    def fit(
        cls, comparisons: Sequence[Comparison], votes: NDArray[np.float64], *, c: float, min_df: int, max_words: int
    ) -> Self:
        """Fit to comparisons and votes [n, 3].

        Args:
            comparisons: [n].
            votes: [n, 3].
            c: the inverse strength of regularisation.
            min_df: words that fewer texts have are not looked at.
            max_words: at most so many words, the most frequent.

        Raises:
            DataError: no word stands in so many texts.
        """
        vocabulary = Vocabulary.of([t for of in texts_of(comparisons) for t in of], min_df=min_df, most=max_words)
        if not vocabulary.words:
            raise DataError(
                f"No word stands in {min_df} or more of the texts of {pluralize(len(votes), 'comparison')}. Lower "
                "baseline.min_df, or give more votes."
            )
        as_given, swapped = cls._rows_of(vocabulary, comparisons)
        from scipy.sparse import vstack

        return cls(vocabulary, Linear.fit(vstack([as_given, swapped], format="csr"), twice(votes), c), len(votes))

    @staticmethod
    def _rows_of(vocabulary: Vocabulary, comparisons: Sequence[Comparison]) -> tuple[Any, Any]:
        """Of both orders."""
        from scipy.sparse import hstack

        prompts, a, b = texts_of(comparisons)
        difference = vocabulary.weigh(a) - vocabulary.weigh(b)
        asked = normalised_words(vocabulary, prompts)
        return tuple(hstack([sign * difference, abs(difference), asked], format="csr") for sign in (1, -1))

    def _raw(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        if not comparisons:
            return np.zeros((0, 3))
        as_given, swapped = (self._linear.probabilities(rows) for rows in self._rows_of(self._vocabulary, comparisons))
        return average_orders(as_given, swapped)

    def state(self) -> State:
        """The vocabulary's arrays and the regression's."""
        parts = {**named("vocabulary", self._vocabulary.state()), **named("linear", self._linear.state())}
        return {**parts, "rows": np.array([self._rows])}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""
        vocabulary = Vocabulary.from_state(under("vocabulary", arrays))
        return cls(vocabulary, Linear.from_state(under("linear", arrays)), int(arrays["rows"][0]))

    @property
    def learned_from(self) -> int:
        """How many votes it was fitted on."""
        return self._rows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of each word three."""
        return ("word: a - b", "word: |a - b|", "word of the prompt")
