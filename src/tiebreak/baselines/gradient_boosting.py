"""The fourth rung: boosted trees on features of both answers, topics, and what the words say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from tiebreak.answer_order import average_orders
from tiebreak.baselines.base import Baseline, State, named, under
from tiebreak.baselines.features import ANSWER_FEATURES, SHARED_FEATURES, describe
from tiebreak.baselines.outcomes import twice
from tiebreak.baselines.prior import PriorBaseline
from tiebreak.baselines.tfidf import TfidfBaseline
from tiebreak.baselines.trees import TreeEnsemble, mean_probabilities
from tiebreak.baselines.vectorizers import TOPIC_WORDS, Topics, Vocabulary, cosines, texts_of
from tiebreak.formatting import pluralize
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS: Final = 5
"""Of the cross-validation that gives training rows a `tfidf` judge's verdicts, grouped by prompt."""

_SIDES: Final = (*ANSWER_FEATURES, "cosine with prompt")
_SHARED_NAMES: Final = (*SHARED_FEATURES, "answers' cosine")
_A_NAMES, _B_NAMES, _DIFFERENCE_NAMES = (tuple(f"{name}: {of}" for name in _SIDES) for of in ("a", "b", "a - b"))
_NAMES_OF_FEATURES: Final = frozenset((*_SHARED_NAMES, *_A_NAMES, *_B_NAMES, *_DIFFERENCE_NAMES))
"""All that needs neither topics nor a verdict."""


class GradientBoostingBaseline(Baseline):
    """Gradient-boosted trees on features, topics and a `tfidf` judge's verdict."""

    kind = "trees"

    def __init__(self, bags: Sequence[TreeEnsemble], topics: Topics, words: TfidfBaseline | None, rows: int) -> None:
        self._bags, self._topics, self._words, self._rows = list(bags), topics, words, rows

    @classmethod
    def fit(
        cls,
        comparisons: Sequence[Comparison],
        votes: NDArray[np.float64],
        *,
        topics: int,
        stacked: bool,
        bags: int,
        c: float,
        min_df: int,
        max_words: int,
        seed: int,
        log: Callable[[str], None],
        **settings: Any,
    ) -> Self:
        """Fit to comparisons and votes [n, 3].

        Args:
            comparisons: [n].
            votes: [n, 3].
            topics: of the prompt, and of the answers' difference; 0 for none.
            stacked: whether a `tfidf` judge's verdict is a feature.
            bags: how many models the mean is taken of. Every second one sees neither topics nor the verdict: models
                that see other things err at other places.
            c: of the `tfidf` judge, as the next two.
            min_df: likewise.
            max_words: likewise.
            seed: decides topics, folds and the features each tree sees.
            tell: called with one sentence at a time.
            settings: of the trees, as `Trees.fit` takes them.
        """
        texts = [text for of in texts_of(comparisons) for text in of]
        vocabulary = Vocabulary.of(texts, min_df=min_df, most=TOPIC_WORDS)
        found = Topics.of(texts, vocabulary, topics if vocabulary.words else 0, seed)
        words, verdicts = None, np.zeros((len(votes), 0))
        groups = sorted({comparison.folded_prompt for comparison in comparisons})
        if stacked and len(groups) >= FOLDS and vocabulary.words:
            log("Judging the training rows by their words, each by rows of other prompts.")
            of_words: dict[str, Any] = {"c": c, "min_df": min_df, "max_words": max_words}
            verdicts = _out_of_fold(comparisons, votes, groups, seed, of_words)
            words = TfidfBaseline.fit(comparisons, votes, **of_words)
        rows = _rows_for_trees(comparisons, found, verdicts)
        both, votes_of_both = np.concatenate(rows), twice(votes)
        log(f"Growing {pluralize(bags, 'forest')} of boosted trees on {both.shape[1]:,} features.")
        judge = cls([], found, words, len(votes))
        plain = np.array([name in _NAMES_OF_FEATURES for name in judge.feature_names])
        every = np.arange(len(plain))
        for bag in range(bags):
            columns = every[plain] if bag % 2 else every
            judge._bags.append(
                TreeEnsemble.fit(both[:, columns], votes_of_both, seed=seed + bag, **settings).of_columns(columns)
            )
        return judge

    def _raw(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        verdicts = np.zeros((len(comparisons), 0)) if self._words is None else self._words.probabilities(comparisons)
        as_given, swapped = (
            mean_probabilities(self._bags, rows) for rows in _rows_for_trees(comparisons, self._topics, verdicts)
        )
        return average_orders(as_given, swapped)

    def state(self) -> State:
        """The arrays of trees, topics and words."""
        arrays = {
            **named("topics", self._topics.vocabulary.state()), "topics.directions": self._topics.directions,
            "rows": np.array([self._rows]),
        }  # fmt: skip
        for bag, trees in enumerate(self._bags):
            arrays |= named(f"trees.{bag}", trees.state())
        return arrays if self._words is None else {**arrays, **named("stacked", self._words.state())}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""
        bags = sorted({int(name.split(".")[1]) for name in arrays if name.startswith("trees.")})
        stacked = under("stacked", arrays)
        return cls(
            [TreeEnsemble.from_state(under(f"trees.{bag}", arrays)) for bag in bags],
            Topics(Vocabulary.from_state(under("topics", arrays)), arrays["topics.directions"]),
            TfidfBaseline.from_state(stacked) if stacked else None,
            int(arrays["rows"][0]),
        )

    @property
    def learned_from(self) -> int:
        """How many votes it was fitted on."""
        return self._rows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names, in the order the trees know them by."""
        topics = range(self._topics.directions.shape[1])
        verdict = () if self._words is None else ("tfidf: log P(tie)", "tfidf: log P(a) / P(b)")
        return (
            *_SHARED_NAMES, *(f"prompt's topic {i}" for i in topics), *verdict[:1], *_A_NAMES, *_B_NAMES,
            *_DIFFERENCE_NAMES, *(f"topic {i}: a - b" for i in topics), *verdict[1:],
        )  # fmt: skip


def _out_of_fold(
    comparisons: Sequence[Comparison], votes: NDArray[np.float64], groups: Sequence[str], seed: int,
    settings: Mapping[str, Any],
) -> NDArray[np.float64]:  # fmt: skip
    """What a `tfidf` judge says of each row that learned from rows of other prompts only, [n, 3]."""
    dealt = dict(zip(groups, np.random.default_rng(seed).permutation(len(groups)) % FOLDS, strict=True))
    folds = np.array([dealt[comparison.folded_prompt] for comparison in comparisons])
    verdicts = np.empty((len(votes), 3))
    for fold in range(FOLDS):
        known, asked = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
        if votes[known, :2].any():
            judge: Baseline = TfidfBaseline.fit([comparisons[i] for i in known], votes[known], **settings)
        else:
            judge = PriorBaseline.fit(votes[known])
        verdicts[asked] = judge.probabilities([comparisons[i] for i in asked])
    return verdicts


def _rows_for_trees(
    comparisons: Sequence[Comparison], topics: Topics, verdicts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of both orders, [n, features]: what is shared, each answer, their difference."""
    features = describe(comparisons)
    (asked, asked_topics), (a, a_topics), (b, b_topics) = (topics.read(texts) for texts in texts_of(comparisons))
    shared = [features.shared, cosines(a, b)[:, None], asked_topics]
    left, right = (np.hstack([of, cosines(w, asked)[:, None]]) for of, w in ((features.a, a), (features.b, b)))
    differences = [left - right, a_topics - b_topics]
    if verdicts.shape[1]:
        logs = np.log(verdicts)
        shared.append(logs[:, 2:])
        differences.append(logs[:, :1] - logs[:, 1:2])
    return (
        np.hstack([*shared, left, right, *differences]),
        np.hstack([*shared, right, left, *(-difference for difference in differences)]),
    )
