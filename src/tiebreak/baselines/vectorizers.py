"""TF-IDF vectors of texts, and topics: scikit-learn's TfidfVectorizer and TruncatedSVD, stored as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from tiebreak.baselines.base import State
from tiebreak.baselines.features import MAX_CHARACTERS, WORD
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TOPIC_WORDS: Final = 20_000
"""The most words that topics are built from."""


class TextVectorizer:
    """TF-IDF with sublinear counts: (1 + log(count)) * (log((1 + texts) / (1 + texts with the word)) + 1).

    Rows are not scaled to length 1, but divided by one number, the mean length of the training rows: how much an
    answer contains is part of what people vote on.

    Args:
        words: [V].
        idf: [V], the inverse document frequency of each word.
        scale: the number that rows are divided by.
    """

    def __init__(self, words: Sequence[str], idf: NDArray[np.float64], scale: float) -> None:
        self.words, self.idf, self.scale = tuple(words), idf, scale
        self._vectorizer = _tfidf_vectorizer(vocabulary=self.words)
        self._vectorizer.idf_ = idf

    @classmethod
    def fit(cls, texts: Sequence[str], *, min_df: int, max_words: int) -> Self | None:
        """Fit to texts; None if no word occurs in `min_df` of them.

        Args:
            texts: [n].
            min_df: words that occur in fewer texts are left out.
            max_words: the size of the vocabulary; the most frequent words are kept.
        """
        from scipy.sparse.linalg import norm

        vectorizer = _tfidf_vectorizer(min_df=min_df, max_features=max_words)
        try:
            rows = vectorizer.fit_transform(texts)
        except ValueError:  # scikit-learn refuses an empty vocabulary
            return None
        return cls(vectorizer.get_feature_names_out().tolist(), vectorizer.idf_, float(norm(rows, axis=1).mean()))

    def transform(self, texts: Sequence[str]) -> Any:
        """The texts as a sparse matrix [n, V]."""
        from scipy.sparse import csr_array

        return csr_array(self._vectorizer.transform(texts)) / self.scale

    def state(self) -> State:
        """The arrays for `from_state`; the words, which contain no white space, as lines of UTF-8 text."""
        lines = np.frombuffer("\n".join(self.words).encode("utf-8"), dtype=np.uint8)
        return {"words": lines, "idf": self.idf, "scale": np.array([self.scale])}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The vectorizer that `state` describes."""
        words = arrays["words"].tobytes().decode("utf-8").split("\n")
        return cls(words, arrays["idf"], float(arrays["scale"][0]))


@dataclass(frozen=True, slots=True, eq=False)
class TopicModel:
    """Latent semantic analysis: a truncated SVD of TF-IDF vectors of length 1."""

    vectorizer: TextVectorizer
    components: NDArray[np.float64]
    """[V, topics]"""

    @classmethod
    def fit(cls, texts: Sequence[str], vectorizer: TextVectorizer, topics: int, seed: int) -> TopicModel:
        """Fit to texts. There are fewer than `topics` topics if there are not enough texts or words."""
        from sklearn.decomposition import TruncatedSVD

        topics = min(topics, len(texts) - 1, len(vectorizer.words) - 1)
        if topics < 1:
            return cls(vectorizer, np.zeros((len(vectorizer.words), 0)))
        svd = TruncatedSVD(topics, random_state=seed).fit(normalize_rows(vectorizer.transform(texts)))
        return cls(vectorizer, np.ascontiguousarray(svd.components_.T, dtype=np.float64))

    def transform(self, texts: Sequence[str]) -> tuple[Any, NDArray[np.float64]]:
        """TF-IDF vectors of length 1, sparse [n, V], and topics, [n, topics]."""
        vectors = normalize_rows(self.vectorizer.transform(texts))
        return vectors, vectors @ self.components

    def state(self) -> State:
        """The arrays for `from_state`."""
        return {**self.vectorizer.state(), "directions": self.components}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> TopicModel:
        """The model that `state` describes."""
        return cls(TextVectorizer.from_state(arrays), arrays["directions"])


def join_turns(comparisons: Sequence[Comparison]) -> tuple[list[str], list[str], list[str]]:
    """Prompts, answers A and answers B, [n] each; the turns of a conversation as one text."""
    return (
        ["\n".join(c.prompt) for c in comparisons],
        ["\n".join(c.answer_a) for c in comparisons],
        ["\n".join(c.answer_b) for c in comparisons],
    )


def normalize_rows(rows: Any) -> Any:
    """The rows of a sparse matrix at length 1; rows of zeros stay."""
    from sklearn.preprocessing import normalize

    return normalize(rows)


def cosine_similarities(a: Any, b: Any) -> NDArray[np.float64]:
    """[n], row by row, for two sparse matrices whose rows have length 1."""
    products: NDArray[np.float64] = np.asarray(a.multiply(b).sum(axis=1)).ravel()
    return products


def _tfidf_vectorizer(**settings: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer=_words, norm=None, sublinear_tf=True, **settings)


def _words(text: str) -> list[str]:
    return WORD.findall(text[:MAX_CHARACTERS].lower())
