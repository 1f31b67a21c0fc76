"""The ladder from statistics to deep learning, but for its last rung: four classical judges.

`prior` knows the votes' shares only. `length` is a logistic regression on how the answers' length and format differ.
`tfidf` is one on the words in which they differ, and on the prompt's. `trees` are gradient-boosted trees on about 200
features of both answers, among them topics, and what `tfidf` says (of training rows by cross-validation).

All of them see every comparison in both orders when they are fitted, and give the mean over both when they judge.
Swapping a comparison therefore swaps its probabilities to the last bit, and `a` and `b` of the prior are equal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import numpy as np

from tiebreak.comparison import Comparison
from tiebreak.errors import DataError
from tiebreak.judging.baselines.features import ANSWER_FEATURES, SHARED_FEATURES, Features, describe
from tiebreak.judging.baselines.linear import Linear
from tiebreak.judging.baselines.outcomes import SWAP, both_orders
from tiebreak.judging.baselines.trees import Trees, mean_probabilities
from tiebreak.judging.baselines.words import TOPIC_WORDS, Topics, Vocabulary, cosines, normalised_words
from tiebreak.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

BaselineKind = Literal["prior", "length", "trees", "tfidf"]

FOLDS: Final = 5
"""Of the cross-validation that gives training rows a `tfidf` judge's verdicts, grouped by prompt."""

_FORMAT: Final = (
    "characters", "words", "lines", "sentences", "paragraphs", "code_fences", "bullets", "numbered", "bold", "headings",
    "tables", "links", "is_empty",
)  # fmt: skip
_SHARED: Final = ("turns", "prompt_characters", "asks_code", "identical", "same_words", "longer_words")

_SIDES: Final = (*ANSWER_FEATURES, "cosine with prompt")
_SHARED_NAMES: Final = (*SHARED_FEATURES, "answers' cosine")
_A_NAMES, _B_NAMES, _DIFFERENCE_NAMES = (tuple(f"{name}: {of}" for name in _SIDES) for of in ("a", "b", "a - b"))
_NAMES_OF_FEATURES: Final = frozenset((*_SHARED_NAMES, *_A_NAMES, *_B_NAMES, *_DIFFERENCE_NAMES))
"""All that needs neither topics nor a verdict."""

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


class Prior(Baseline):
    """The shares of the votes, with A and B taken as one."""

    kind = "prior"

    def __init__(self, shares: NDArray[np.float64], rows: int) -> None:
        self._shares, self._rows = shares, rows

    @classmethod
    def fit(cls, votes: NDArray[np.float64]) -> Self:
        """Fit to votes [n, 3]."""
        shares = votes.mean(axis=0)
        return cls((shares + shares[list(SWAP)]) / 2, len(votes))

    def _raw(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        return np.tile(self._shares, (len(comparisons), 1))

    def state(self) -> State:
        """The shares."""
        return {"shares": self._shares, "rows": np.array([self._rows])}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""
        return cls(arrays["shares"], int(arrays["rows"][0]))

    @property
    def learned_from(self) -> int:
        """How many votes it was fitted on."""
        return self._rows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


class LengthJudge(Baseline):
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
        linear = Linear.fit(np.concatenate(rows) / deviations, _twice(votes), c)
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
        return both_orders(as_given, swapped)

    def state(self) -> State:
        """The regression's arrays, and what features are divided by."""
        return {
            **_named("linear", self._linear.state()), "deviations": self._deviations, "rows": np.array([self._rows]),
        }  # fmt: skip

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""
        linear = Linear.from_state(_under("linear", arrays))
        return cls(linear, arrays["deviations"], int(arrays["rows"][0]))

    @property
    def learned_from(self) -> int:
        """How many votes it was fitted on."""
        return self._rows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names, in the order of the regression's weights."""
        return (*(f"{n}: a - b" for n in _FORMAT), *(f"{n}: |a - b|" for n in _FORMAT), *_SHARED)


class WordsJudge(Baseline):
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
        vocabulary = Vocabulary.of([t for of in _texts(comparisons) for t in of], min_df=min_df, most=max_words)
        if not vocabulary.words:
            raise DataError(
                f"No word stands in {min_df} or more of the texts of {counted(len(votes), 'comparison')}. Lower "
                "baseline.min_df, or give more votes."
            )
        as_given, swapped = cls._rows_of(vocabulary, comparisons)
        from scipy.sparse import vstack

        return cls(vocabulary, Linear.fit(vstack([as_given, swapped], format="csr"), _twice(votes), c), len(votes))

    @staticmethod
    def _rows_of(vocabulary: Vocabulary, comparisons: Sequence[Comparison]) -> tuple[Any, Any]:
        """Of both orders."""
        from scipy.sparse import hstack

        prompts, a, b = _texts(comparisons)
        difference = vocabulary.weigh(a) - vocabulary.weigh(b)
        asked = normalised_words(vocabulary, prompts)
        return tuple(hstack([sign * difference, abs(difference), asked], format="csr") for sign in (1, -1))

    def _raw(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        if not comparisons:
            return np.zeros((0, 3))
        as_given, swapped = (self._linear.probabilities(rows) for rows in self._rows_of(self._vocabulary, comparisons))
        return both_orders(as_given, swapped)

    def state(self) -> State:
        """The vocabulary's arrays and the regression's."""
        parts = {**_named("vocabulary", self._vocabulary.state()), **_named("linear", self._linear.state())}
        return {**parts, "rows": np.array([self._rows])}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""
        vocabulary = Vocabulary.from_state(_under("vocabulary", arrays))
        return cls(vocabulary, Linear.from_state(_under("linear", arrays)), int(arrays["rows"][0]))

    @property
    def learned_from(self) -> int:
        """How many votes it was fitted on."""
        return self._rows

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of each word three."""
        return ("word: a - b", "word: |a - b|", "word of the prompt")


class TreesJudge(Baseline):
    """Gradient-boosted trees on features, topics and a `tfidf` judge's verdict."""

    kind = "trees"

    def __init__(self, bags: Sequence[Trees], topics: Topics, words: WordsJudge | None, rows: int) -> None:
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
        tell: Callable[[str], None],
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
        texts = [text for of in _texts(comparisons) for text in of]
        vocabulary = Vocabulary.of(texts, min_df=min_df, most=TOPIC_WORDS)
        found = Topics.of(texts, vocabulary, topics if vocabulary.words else 0, seed)
        words, verdicts = None, np.zeros((len(votes), 0))
        groups = sorted({comparison.folded_prompt for comparison in comparisons})
        if stacked and len(groups) >= FOLDS and vocabulary.words:
            tell("Judging the training rows by their words, each by rows of other prompts.")
            of_words: dict[str, Any] = {"c": c, "min_df": min_df, "max_words": max_words}
            verdicts = _out_of_fold(comparisons, votes, groups, seed, of_words)
            words = WordsJudge.fit(comparisons, votes, **of_words)
        rows = _rows_for_trees(comparisons, found, verdicts)
        both, twice = np.concatenate(rows), _twice(votes)
        tell(f"Growing {counted(bags, 'forest')} of boosted trees on {both.shape[1]:,} features.")
        judge = cls([], found, words, len(votes))
        named = np.array([name in _NAMES_OF_FEATURES for name in judge.feature_names])
        every = np.arange(len(named))
        for bag in range(bags):
            columns = every[named] if bag % 2 else every
            judge._bags.append(Trees.fit(both[:, columns], twice, seed=seed + bag, **settings).of_columns(columns))
        return judge

    def _raw(self, comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
        verdicts = np.zeros((len(comparisons), 0)) if self._words is None else self._words.probabilities(comparisons)
        as_given, swapped = (
            mean_probabilities(self._bags, rows) for rows in _rows_for_trees(comparisons, self._topics, verdicts)
        )
        return both_orders(as_given, swapped)

    def state(self) -> State:
        """The arrays of trees, topics and words."""
        arrays = {
            **_named("topics", self._topics.vocabulary.state()), "topics.directions": self._topics.directions,
            "rows": np.array([self._rows]),
        }  # fmt: skip
        for bag, trees in enumerate(self._bags):
            arrays |= _named(f"trees.{bag}", trees.state())
        return arrays if self._words is None else {**arrays, **_named("stacked", self._words.state())}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave."""
        bags = sorted({int(name.split(".")[1]) for name in arrays if name.startswith("trees.")})
        stacked = _under("stacked", arrays)
        return cls(
            [Trees.from_state(_under(f"trees.{bag}", arrays)) for bag in bags],
            Topics(Vocabulary.from_state(_under("topics", arrays)), arrays["topics.directions"]),
            WordsJudge.from_state(stacked) if stacked else None,
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


_JUDGES: Final[dict[BaselineKind, type[Baseline]]] = {
    judge.kind: judge for judge in (Prior, LengthJudge, WordsJudge, TreesJudge)
}


def fit_baseline(
    kind: BaselineKind,
    comparisons: Sequence[Comparison],
    *,
    c: float,
    min_df: int,
    max_words: int,
    topics: int,
    stacked: bool,
    bags: int,
    max_iter: int,
    learning_rate: float,
    max_leaf_nodes: int,
    min_samples_leaf: int,
    l2_regularization: float,
    max_features: float,
    seed: int,
    tell: Callable[[str], None],
) -> Baseline:
    """Fit a classical judge to comparisons with votes; the settings are those of the recipe's section `baseline`.

    Raises:
        DataError: there are no votes, all of them are ties and the judge is to tell answers apart, or no word is
            frequent enough.
    """
    votes = np.array([comparison.vote for comparison in comparisons if comparison.vote is not None])
    if len(votes) < len(comparisons) or not len(votes):
        raise DataError("A classical judge learns from votes: each of one or more comparisons needs one.")
    if kind == "prior":
        return Prior.fit(votes)
    if not votes[:, :2].any():
        raise DataError(
            f"All of {counted(len(votes), 'vote')} to learn from are ties: nothing tells answers apart. Give others, "
            "or take baseline.kind=prior."
        )
    if kind == "length":
        return LengthJudge.fit(comparisons, votes, c=c)
    if kind == "tfidf":
        return WordsJudge.fit(comparisons, votes, c=c, min_df=min_df, max_words=max_words)
    return TreesJudge.fit(
        comparisons, votes, topics=topics, stacked=stacked, bags=bags, c=c, min_df=min_df, max_words=max_words,
        seed=seed, tell=tell, max_iter=max_iter, learning_rate=learning_rate, max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_samples_leaf, l2_regularization=l2_regularization, max_features=max_features,
    )  # fmt: skip


def baseline_from_state(kind: BaselineKind, arrays: Mapping[str, NDArray[Any]]) -> Baseline:
    """A classical judge of the arrays that its `state` gave."""
    return _JUDGES[kind].from_state(arrays)


def _texts(comparisons: Sequence[Comparison]) -> tuple[list[str], list[str], list[str]]:
    """Prompts, A's answers and B's, a conversation's turns as one text."""
    return (
        ["\n".join(c.prompt) for c in comparisons],
        ["\n".join(c.answer_a) for c in comparisons],
        ["\n".join(c.answer_b) for c in comparisons],
    )


def _twice(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Votes as given, then those of the swapped comparisons."""
    return np.concatenate([votes, votes[:, SWAP]])


def _one_by_one(linear: Linear, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """A dense product whose sums come out the same whatever is judged beside: a sparse one adds up row by row."""
    from scipy.sparse import csr_array

    return linear.probabilities(csr_array(rows))


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
            judge: Baseline = WordsJudge.fit([comparisons[i] for i in known], votes[known], **settings)
        else:
            judge = Prior.fit(votes[known])
        verdicts[asked] = judge.probabilities([comparisons[i] for i in asked])
    return verdicts


def _rows_for_trees(
    comparisons: Sequence[Comparison], topics: Topics, verdicts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of both orders, [n, features]: what is shared, each answer, their difference."""
    features = describe(comparisons)
    (asked, asked_topics), (a, a_topics), (b, b_topics) = (topics.read(texts) for texts in _texts(comparisons))
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


def _named(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> State:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> State:
    return {name.removeprefix(f"{prefix}."): a for name, a in arrays.items() if name.startswith(f"{prefix}.")}
