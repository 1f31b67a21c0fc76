"""Statistics of many comparisons, of which it keeps numbers and hashes, about 60 bytes each, and no texts."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np

from tiebreak.data.hash_index import digest
from tiebreak.types import A_WINS, B_WINS, OUTCOMES, TIE, Comparison, Outcome, Vote, swap_vote
from tiebreak.weights import effective_rows

_ONE_HOT: Final = (A_WINS, B_WINS, TIE)
_NO_VOTE: Final = len(OUTCOMES)


@dataclass(frozen=True)
class Lengths:
    """Percentiles of a length, by nearest rank: each is a value that occurs."""

    median: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True)
class TextLengths:
    """Lengths of texts, summed over their turns."""

    characters: Lengths
    words: Lengths
    """Separated by white space."""


@dataclass(frozen=True)
class LengthStatistics:
    """The lengths of all texts, as in `Summary`."""

    prompt: TextLengths
    answers: TextLengths
    whole: TextLengths
    mean_difference: float
    multi_turn_share: float


@dataclass(frozen=True)
class DuplicateGroup:
    """The lines of comparisons with the same prompt and the same two answers, in either order."""

    lines: tuple[int, ...]
    contradictory: bool
    """Whether their votes favour different outcomes."""


@dataclass(frozen=True)
class Weights:
    """Weights of rows, in training and evaluation."""

    rows: int
    """Rows with another weight than 1."""
    zero_rows: int
    """Rows of weight 0, which are judged but do not count."""
    sum: float
    effective_rows: float
    """As many rows of equal weight are as precise; see `tiebreak.weights.effective_rows`."""


class RowStatistics:
    """Statistics of the comparisons that were added."""

    def __init__(self) -> None:
        self.margins = 0
        """Comparisons whose vote has a margin above 0."""
        self.identical_answers_with_winner = array("q")
        """Lines of comparisons of an answer with itself whose vote is not a tie."""
        self._one_hot: Counter[Vote] = Counter()
        self._soft = tuple(array("d") for _ in OUTCOMES)
        self._characters = tuple(array("I") for _ in range(3))  # of prompt, answer A, answer B
        self._words = tuple(array("I") for _ in range(3))
        self._multi_turn = 0
        self._weights = array("d")
        self._lines = array("q")
        self._digests = bytearray()
        self._favoured = bytearray()

    @property
    def has_soft_votes(self) -> bool:
        """Whether a vote is not that of one person."""
        return len(self._soft[0]) > 0

    def add(self, line: int, comparison: Comparison) -> None:
        """Add the comparison on a line."""
        c = comparison
        self._lines.append(line)
        self._multi_turn += len(c.prompt) > 1
        for i, text in enumerate((c.prompt, c.answer_a, c.answer_b)):
            self._characters[i].append(sum(map(len, text)))
            self._words[i].append(sum(len(turn.split()) for turn in text))
        self.margins += c.margin > 0
        self._weights.append(c.weight)
        if c.vote in _ONE_HOT:
            self._one_hot[c.vote] += 1
        elif c.vote is not None:
            for values, value in zip(self._soft, c.vote, strict=True):
                values.append(value)
        in_order = c.answer_a <= c.answer_b
        answers = (*c.answer_a, *c.answer_b) if in_order else (*c.answer_b, *c.answer_a)
        self._digests += digest(*c.prompt, *answers)  # as many answers as prompts, so the three cannot be confused
        if c.vote is None:
            self._favoured.append(_NO_VOTE)
            return
        favoured = _favoured(c.vote if in_order else swap_vote(c.vote))
        if c.answer_a == c.answer_b and favoured != "tie":
            favoured = "model_a"  # the vote does not say which of the two won
            self.identical_answers_with_winner.append(line)
        self._favoured.append(OUTCOMES.index(favoured))

    def weights(self) -> Weights | None:
        """The weights of the comparisons; None if all are 1."""
        weights = np.array(self._weights)
        if (weights == 1).all():
            return None
        zero = int((weights == 0).sum())
        return Weights(int((weights != 1).sum()), zero, float(weights.sum()), effective_rows(weights))

    def shares(self) -> dict[str, float] | None:
        """The mean vote per outcome; None if there are no votes."""
        count = self._one_hot.total() + len(self._soft[0])
        if not count:
            return None
        return {
            outcome: math.fsum(chain((self._one_hot[vote],), soft)) / count
            for outcome, vote, soft in zip(OUTCOMES, _ONE_HOT, self._soft, strict=True)
        }

    def lengths(self) -> LengthStatistics | None:
        """The lengths of texts; None if there are none."""
        count = len(self._lines)
        if not count:
            return None
        characters, words = (list(map(_integers, arrays)) for arrays in (self._characters, self._words))
        difference = np.abs(characters[1] - characters[2])
        return LengthStatistics(
            prompt=TextLengths(_percentiles(characters[0]), _percentiles(words[0])),
            answers=TextLengths(*(_percentiles(np.concatenate(each[1:])) for each in (characters, words))),
            whole=TextLengths(*(_percentiles(each[0] + each[1] + each[2]) for each in (characters, words))),
            mean_difference=int(difference.sum()) / count,
            multi_turn_share=self._multi_turn / count,
        )

    def duplicates(self) -> list[DuplicateGroup]:
        """The sets of two or more equal comparisons, in the order of their first lines."""
        halves = np.frombuffer(bytes(self._digests), np.uint64).reshape(-1, 2)
        order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable, so that the rows of a group stay in order
        ranked = halves[order]
        starts = np.flatnonzero(np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)]) if len(ranked) else order
        ends = np.r_[starts[1:], len(ranked)]
        repeated = ends - starts > 1
        groups = [order[start:end] for start, end in zip(starts[repeated], ends[repeated], strict=True)]
        return [self._group(rows) for rows in sorted(groups, key=lambda rows: int(rows[0]))]

    def _group(self, rows: np.ndarray[Any, Any]) -> DuplicateGroup:
        favoured = {self._favoured[row] for row in rows} - {_NO_VOTE}
        return DuplicateGroup(tuple(self._lines[row] for row in rows), len(favoured) > 1)


def _integers(values: array[int]) -> np.ndarray[Any, Any]:
    return np.frombuffer(values, values.typecode).astype(np.int64)


def _percentiles(values: np.ndarray[Any, Any]) -> Lengths:
    ranks = [math.ceil(len(values) * percent / 100) - 1 for percent in (50, 90, 99, 100)]
    ranked = np.partition(values, ranks)
    return Lengths(*(int(ranked[rank]) for rank in ranks))


def _favoured(vote: Vote) -> Outcome:
    return OUTCOMES[vote.index(max(vote))]
