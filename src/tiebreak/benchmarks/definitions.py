"""What is known of a benchmark before it is run: where its rows are, and the rule that makes scores of verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tiebreak.benchmarks.scoring import Score
from tiebreak.judges import Verdict
from tiebreak.types import Comparison

Orders = tuple[Verdict, Verdict]
"""What a judge says of a comparison as given and with its answers exchanged, both told as the comparison has them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A prompt with answers of which the first few are right."""

    id: str
    subset: str
    prompt: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    right: int


@dataclass(frozen=True)
class Source:
    """Where a benchmark is kept."""

    repository: str
    """Of datasets, on the Hugging Face hub."""
    files: tuple[str, ...]
    """Patterns of paths in it; every file that fits the first pattern which any file fits is read."""
    revision: str | None = None
    elsewhere: str = ""
    """Where else it is to be had."""


PairRule = Callable[[Sequence[Comparison], Sequence[Orders]], list[Score]]
RewardRule = Callable[[Sequence[Choice], Sequence[Sequence[float]]], list[Score]]


@dataclass(frozen=True)
class Description:
    """What people see of a benchmark."""

    name: str
    """What they write."""
    title: str
    rule: str
    """How its scores come about, in a sentence or two."""


@dataclass(frozen=True)
class PairBenchmark:
    """Two answers a row; judged in both orders, since no order is the right one."""

    about: Description
    source: Source
    columns: tuple[str, ...]
    """Those that are read; they tell its files from others'."""
    read: Callable[[str, dict[str, Any]], Comparison | None]
    """The path of the file and a row's cells -> the comparison, with its subset as the tag `source`, and the label as
    its vote; None for rows that the rule does not look at. Raises UnreadableError."""
    score: PairRule


@dataclass(frozen=True)
class ChoiceBenchmark:
    """Any number of answers a row, each given a reward."""

    about: Description
    source: Source
    columns: tuple[str, ...]
    """As in `PairBenchmark`."""
    read: Callable[[str, dict[str, Any]], Choice]
    """The path of the file and a row's cells -> prompt and answers. Raises UnreadableError."""
    score: RewardRule


Benchmark = PairBenchmark | ChoiceBenchmark


def subset_of(comparison: Comparison) -> str:
    """Which part of a benchmark it is of."""
    return dict(comparison.tags).get("source", "")


def preference(verdict: Verdict, comparison: Comparison) -> int:
    """1 if the judge holds the labelled answer for the likelier winner, -1 if the other, 0 if both alike.

    Labels know no ties, so neither does the answer: which of the two is more likely to win is asked, and not whether a
    tie is likelier still.
    """
    assert comparison.vote is not None, "rows of a benchmark are labelled"
    gap = (verdict.model_a - verdict.model_b) * (comparison.vote[0] - comparison.vote[1])
    return (gap > 0) - (gap < 0)
