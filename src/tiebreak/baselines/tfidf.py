"""The `tfidf` baseline: logistic regression on the words in which the answers differ, and on the prompt's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.baselines.base import Baseline, State, add_prefix, fitted_votes, select_prefix, vote_counts
from tiebreak.baselines.labels import stack_swapped_votes
from tiebreak.baselines.logistic_regression import LogisticRegressionModel
from tiebreak.baselines.vectorizers import TextVectorizer, join_turns, normalize_rows
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TfidfBaseline(Baseline):
    """Logistic regression on TF-IDF vectors: a - b, |a - b|, and the prompt."""

    kind = "tfidf"

    def __init__(
        self, vectorizer: TextVectorizer, model: LogisticRegressionModel, vote_count: int,
        vote_weight: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(vote_count, vote_weight)
        self._vectorizer, self._model = vectorizer, model

    @classmethod
    def fit(
        cls, comparisons: Sequence[Comparison], votes: NDArray[np.float64],
        weights: NDArray[np.float64] | None = None, *, c: float, min_df: int, max_words: int,
    ) -> Self:  # fmt: skip
        """Fit to comparisons and votes. Weights count in the regression; words are counted by text.

        Args:
            comparisons: [n].
            votes: [n, 3].
            weights: [n]; None if each vote counts as one.
            c: the inverse of the regularisation strength.
            min_df: words that occur in fewer texts are left out.
            max_words: the size of the vocabulary; the most frequent words are kept.

        Raises:
            DataError: no word occurs in `min_df` texts.
        """
        from scipy.sparse import vstack

        vectorizer = TextVectorizer.fit(list(chain(*join_turns(comparisons))), min_df=min_df, max_words=max_words)
        if vectorizer is None:
            raise DataError(
                f"No word occurs in {min_df} or more texts of {pluralize(len(votes), 'comparison')}. Lower "
                "baseline.min_df, or add votes."
            )
        rows = vstack(cls._feature_rows(vectorizer, comparisons), format="csr")
        return cls(
            vectorizer,
            LogisticRegressionModel.fit(rows, stack_swapped_votes(votes, weights), c),
            *fitted_votes(votes, weights),
        )

    @staticmethod
    def _feature_rows(vectorizer: TextVectorizer, comparisons: Sequence[Comparison]) -> tuple[Any, Any]:
        """Sparse feature rows of the comparisons as given and swapped, [n, 3 V] each."""
        from scipy.sparse import hstack

        prompts, answers_a, answers_b = join_turns(comparisons)
        difference = vectorizer.transform(answers_a) - vectorizer.transform(answers_b)
        symmetric = [abs(difference), normalize_rows(vectorizer.transform(prompts))]
        return hstack([difference, *symmetric], format="csr"), hstack([-difference, *symmetric], format="csr")

    def _predict(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        if not comparisons:
            return np.zeros((0, 3))
        as_given, swapped = map(self._model.probabilities, self._feature_rows(self._vectorizer, comparisons))
        return average_orders(as_given, swapped)

    def state(self) -> State:
        """The arrays of the vectorizer and of the regression."""
        return {
            **add_prefix("vocabulary", self._vectorizer.state()), **add_prefix("linear", self._model.state()),
            **self._count_state(),
        }  # fmt: skip

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The baseline that `state` describes."""
        vectorizer = TextVectorizer.from_state(select_prefix("vocabulary", arrays))
        model = LogisticRegressionModel.from_state(select_prefix("linear", arrays))
        return cls(vectorizer, model, *vote_counts(arrays))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The three groups of features; each has one feature per word."""
        return ("word: a - b", "word: |a - b|", "word of the prompt")
