"""The `trees` baseline: gradient-boosted trees on features of both answers, topics, and the `tfidf` baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.baselines.base import Baseline, State, add_prefix, fitted_votes, select_prefix, vote_counts
from tiebreak.baselines.boosted_trees import BoostedTrees
from tiebreak.baselines.features import ANSWER_FEATURES, SHARED_FEATURES, extract_features
from tiebreak.baselines.labels import stack_swapped_votes
from tiebreak.baselines.prior import PriorBaseline
from tiebreak.baselines.sklearn_trees import SklearnTrees
from tiebreak.baselines.tfidf import TfidfBaseline
from tiebreak.baselines.vectorizers import (
    MAX_TOPIC_WORDS,
    TextVectorizer,
    TopicModel,
    cosine_similarities,
    join_turns,
)
from tiebreak.formatting import pluralize
from tiebreak.metrics.cross_validation import FOLDS, group_folds, number_groups
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PER_ANSWER: Final = (*ANSWER_FEATURES, "cosine with prompt")
_SHARED_NAMES: Final = (*SHARED_FEATURES, "answers' cosine")
_A_NAMES, _B_NAMES, _DIFFERENCE_NAMES = (tuple(f"{name}: {of}" for name in _PER_ANSWER) for of in ("a", "b", "a - b"))
_TEXT_FEATURES: Final = frozenset((*_SHARED_NAMES, *_A_NAMES, *_B_NAMES, *_DIFFERENCE_NAMES))
"""Features other than topics and the probabilities of the `tfidf` baseline."""


class GradientBoostingBaseline(Baseline):
    """Gradient-boosted trees on features, topics and the probabilities of a `tfidf` baseline."""

    kind = "trees"

    def __init__(
        self, bags: Sequence[BoostedTrees | SklearnTrees], topics: TopicModel | None, tfidf: TfidfBaseline | None,
        vote_count: int, vote_weight: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(vote_count, vote_weight)
        self._bags, self._topics, self._tfidf = list(bags), topics, tfidf

    @classmethod
    def fit(
        cls, comparisons: Sequence[Comparison], votes: NDArray[np.float64],
        weights: NDArray[np.float64] | None = None, *, topics: int, stacked: bool, bags: int, c: float, min_df: int,
        max_words: int, seed: int, log: Callable[[str], None], **tree_settings: Any,
    ) -> Self:  # fmt: skip
        """Fit to comparisons and votes. Weights count in the regression and in the trees; topics do without them.

        Args:
            comparisons: [n].
            votes: [n, 3].
            weights: [n]; None if each vote counts as one.
            topics: the number of topics of the prompt and of the difference of the answers; 0 for none.
            stacked: whether the probabilities of a `tfidf` baseline are features. Training rows get theirs by
                cross-validation.
            bags: the number of models to average. Every second model uses neither topics nor the `tfidf` baseline:
                models with different features make different errors.
            c: as in `TfidfBaseline.fit`.
            min_df: as in `TfidfBaseline.fit`.
            max_words: as in `TfidfBaseline.fit`.
            seed: decides the topics and the features of each split.
            log: receives progress messages.
            tree_settings: as in `BoostedTrees.fit`.
        """
        texts = list(chain(*join_turns(comparisons)))
        vectorizer = TextVectorizer.fit(texts, min_df=min_df, max_words=MAX_TOPIC_WORDS)
        topic_model = None if vectorizer is None else TopicModel.fit(texts, vectorizer, topics, seed)
        tfidf, tfidf_probabilities = None, None
        prompts = number_groups([comparison.folded_prompt for comparison in comparisons])
        if stacked and prompts.max() + 1 >= FOLDS and vectorizer is not None:
            log(f"Computing features of the tfidf baseline by {FOLDS}-fold cross-validation.")
            tfidf_settings: dict[str, Any] = {"c": c, "min_df": min_df, "max_words": max_words}
            tfidf_probabilities = _cross_validate_tfidf(comparisons, votes, weights, prompts, tfidf_settings)
            tfidf = TfidfBaseline.fit(comparisons, votes, weights, **tfidf_settings)
        rows = np.concatenate(_feature_rows(comparisons, topic_model, tfidf_probabilities))
        log(f"Fitting {pluralize(bags, 'ensemble')} of gradient-boosted trees on {rows.shape[1]:,} features.")
        baseline = cls([], topic_model, tfidf, *fitted_votes(votes, weights))
        all_columns = np.arange(rows.shape[1])
        text_columns = all_columns[[name in _TEXT_FEATURES for name in baseline.feature_names]]
        baseline._bags = [
            BoostedTrees.fit(
                rows, stack_swapped_votes(votes, weights), text_columns if bag % 2 else all_columns, seed=seed + bag,
                **tree_settings,
            )
            for bag in range(bags)
        ]  # fmt: skip
        return baseline

    def _predict(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        tfidf_probabilities = None if self._tfidf is None else self._tfidf.probabilities(comparisons)
        as_given, swapped = (
            np.mean([trees.probabilities(rows) for trees in self._bags], axis=0)
            for rows in _feature_rows(comparisons, self._topics, tfidf_probabilities)
        )
        return average_orders(as_given, swapped)

    def state(self) -> State:
        """The arrays of the trees, the topics and the `tfidf` baseline."""
        arrays: State = self._count_state()
        for bag, trees in enumerate(self._bags):
            arrays |= add_prefix(f"trees.{bag}", trees.state())
        if self._topics is not None:
            arrays |= add_prefix("topics", self._topics.state())
        if self._tfidf is not None:
            arrays |= add_prefix("stacked", self._tfidf.state())
        return arrays

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The baseline that `state` describes."""
        bags: list[BoostedTrees | SklearnTrees] = []
        while trees := select_prefix(f"trees.{len(bags)}", arrays):
            bags.append((BoostedTrees if "lightgbm" in trees else SklearnTrees).from_state(trees))
        topics, tfidf = select_prefix("topics", arrays), select_prefix("stacked", arrays)
        return cls(
            bags,
            TopicModel.from_state(topics) if topics else None,
            TfidfBaseline.from_state(tfidf) if tfidf else None,
            *vote_counts(arrays),
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names, in the order of the columns that the trees are fitted to."""
        topics = range(0 if self._topics is None else self._topics.components.shape[1])
        tfidf = () if self._tfidf is None else ("tfidf: log P(tie)", "tfidf: log P(a) / P(b)")
        return (
            *_SHARED_NAMES, *(f"prompt's topic {i}" for i in topics), *tfidf[:1], *_A_NAMES, *_B_NAMES,
            *_DIFFERENCE_NAMES, *(f"topic {i}: a - b" for i in topics), *tfidf[1:],
        )  # fmt: skip


def _cross_validate_tfidf(
    comparisons: Sequence[Comparison], votes: NDArray[np.float64], weights: NDArray[np.float64] | None,
    prompts: NDArray[np.int64], settings: Mapping[str, Any],
) -> NDArray[np.float64]:  # fmt: skip
    """For each row the probabilities of a `tfidf` baseline fitted to rows with other prompts, [n, 3]."""
    folds = group_folds(prompts)
    probabilities = np.empty((len(votes), 3))
    for fold in range(FOLDS):
        training, held_out = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
        of_training = None if weights is None else weights[training]
        if votes[training, :2].any():
            baseline: Baseline = TfidfBaseline.fit(
                [comparisons[i] for i in training], votes[training], of_training, **settings
            )
        else:
            baseline = PriorBaseline.fit(votes[training], of_training)
        probabilities[held_out] = baseline.probabilities([comparisons[i] for i in held_out])
    return probabilities


def _feature_rows(
    comparisons: Sequence[Comparison], topics: TopicModel | None, tfidf_probabilities: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Feature rows of the comparisons as given and swapped, [n, features] each, in the order of `feature_names`."""
    features = extract_features(comparisons)
    if topics is None or not comparisons:
        answer_cosines, *prompt_cosines = np.zeros((3, len(comparisons), 1))
        count = 0 if topics is None else topics.components.shape[1]
        prompt_topics = topic_differences = np.zeros((len(comparisons), count))
    else:
        (prompt, prompt_topics), (a, a_topics), (b, b_topics) = map(topics.transform, join_turns(comparisons))
        answer_cosines = cosine_similarities(a, b)[:, None]
        prompt_cosines = [cosine_similarities(answer, prompt)[:, None] for answer in (a, b)]
        topic_differences = a_topics - b_topics
    shared = [features.shared, answer_cosines, prompt_topics]
    left, right = np.hstack([features.a, prompt_cosines[0]]), np.hstack([features.b, prompt_cosines[1]])
    differences = [left - right, topic_differences]
    if tfidf_probabilities is not None:
        logs = np.log(tfidf_probabilities)
        shared.append(logs[:, 2:])
        differences.append(logs[:, :1] - logs[:, 1:2])
    return (
        np.hstack([*shared, left, right, *differences]),
        np.hstack([*shared, right, left, *(-difference for difference in differences)]),
    )
