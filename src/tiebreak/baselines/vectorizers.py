"""Texts -> weighted words (TF-IDF), and words -> topics, with arrays that can be saved as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tiebreak.baselines.features import READ, WORD
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOPIC_WORDS: Final = 20_000
"""The most frequent words, which topics are made of."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Words and their weights: (1 + log(count in a text)) * (log((1 + texts) / (1 + texts with it)) + 1).

    Rows are divided by one number, the mean length of the texts' rows it was made from, and not each by its own: how
    much an answer says is a part of what people like in it.
    """

    words: tuple[str, ...]
    idf: NDArray[np.float64]
    """[V]"""
    scale: float

    @classmethod
    def of(cls, texts: Sequence[str], *, min_df: int, most: int) -> Vocabulary:
        """The words that stand in at least `min_df` of the texts, at most so many, the most frequent first."""
        found: Counter[str] = Counter()
        for text in texts:
            found.update(set(_words(text)))
        kept = sorted((w for w, n in found.items() if n >= min_df), key=lambda w: (-found[w], w))[:most]
        idf = np.array([np.log((1 + len(texts)) / (1 + found[word])) + 1 for word in kept])
        vocabulary = cls(tuple(kept), idf, 1.0)
        lengths = _lengths(vocabulary.weigh(texts))
        return cls(vocabulary.words, idf, float(lengths.mean()) or 1.0)

    def weigh(self, texts: Sequence[str]) -> Any:
        """A sparse matrix [texts, V] in CSR."""
        from scipy.sparse import csr_array

        place = {word: at for at, word in enumerate(self.words)}
        starts, columns, counts = [0], [], []
        for text in texts:
            known = Counter(place[word] for word in _words(text) if word in place)
            for at in sorted(known):  # in one order, so that sums over a row come out the same again
                columns.append(at)
                counts.append(known[at])
            starts.append(len(columns))
        which = np.array(columns, dtype=np.int64)
        weights = (1 + np.log(np.array(counts, dtype=np.float64))) * self.idf[which] / self.scale
        return csr_array((weights, which, np.array(starts)), shape=(len(texts), len(self.words)))

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays that `from_state` makes it from again. Words hold no white space, so one text holds them all."""
        listed = np.frombuffer("\n".join(self.words).encode("utf-8"), dtype=np.uint8)
        return {"words": listed, "idf": self.idf, "scale": np.array([self.scale])}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Vocabulary:
        """What `state` gave."""
        words = arrays["words"].tobytes().decode("utf-8").split("\n")
        return cls(tuple(words), arrays["idf"], float(arrays["scale"][0]))


@dataclass(frozen=True, slots=True, eq=False)
class Topics:
    """Directions in which texts differ most: a truncated SVD of their weighted words (latent semantic analysis)."""

    vocabulary: Vocabulary
    directions: NDArray[np.float64]
    """[V, topics]"""

    @classmethod
    def of(cls, texts: Sequence[str], vocabulary: Vocabulary, count: int, seed: int) -> Topics:
        """So many topics of these texts, or as many as there can be; of few texts or words none."""
        from sklearn.decomposition import TruncatedSVD

        count = min(count, len(texts) - 1, len(vocabulary.words) - 1)
        if count < 1:
            return cls(vocabulary, np.zeros((len(vocabulary.words), 0)))
        found = TruncatedSVD(count, random_state=seed).fit(_normalised(vocabulary.weigh(texts)))
        return cls(vocabulary, np.ascontiguousarray(found.components_.T, dtype=np.float64))

    def read(self, texts: Sequence[str]) -> tuple[Any, NDArray[np.float64]]:
        """The texts' words at length 1, [texts, V] sparse, and their topics, [texts, topics]."""
        rows = _normalised(self.vocabulary.weigh(texts))
        return rows, rows @ self.directions


def texts_of(comparisons: Sequence[Comparison]) -> tuple[list[str], list[str], list[str]]:
    """Prompts, A's answers and B's, a conversation's turns as one text."""
    return (
        ["\n".join(c.prompt) for c in comparisons],
        ["\n".join(c.answer_a) for c in comparisons],
        ["\n".join(c.answer_b) for c in comparisons],
    )


def cosines(one: Any, other: Any) -> NDArray[np.float64]:
    """[n], of the rows of two sparse matrices whose rows have length 1."""
    products: NDArray[np.float64] = np.asarray(one.multiply(other).sum(axis=1)).ravel()
    return products


def normalised_words(vocabulary: Vocabulary, texts: Sequence[str]) -> Any:
    """`Vocabulary.weigh` with every row at length 1."""
    return _normalised(vocabulary.weigh(texts))


def _normalised(rows: Any) -> Any:
    from scipy.sparse import csr_array

    lengths = np.repeat(np.maximum(_lengths(rows), 1e-12), np.diff(rows.indptr))
    return csr_array((rows.data / lengths, rows.indices, rows.indptr), shape=rows.shape)


def _lengths(rows: Any) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return lengths


def _words(text: str) -> list[str]:
    return WORD.findall(text[:READ].lower())
