"""The definition of a benchmark: where its rows are, and the rule that turns verdicts into scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tiebreak.benchmarks.scoring import Score
from tiebreak.judges import Verdict
from tiebreak.types import Comparison

Orders = tuple[Verdict, Verdict]
"""Verdicts on a comparison in both orders; `model_a` is the comparison's A in both."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A prompt with answers, the first `right` of which are correct."""

    id: str
    subset: str
    prompt: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    right: int


@dataclass(frozen=True)
class Source:
    """Where a benchmark's files are."""

    repository: str
    """A dataset on the Hugging Face hub."""
    files: tuple[str, ...]
    """Patterns of paths; all files that match the first pattern with any match are read."""
    revision: str | None = None
    elsewhere: str = ""
    """Another place to download it from."""


PairRule = Callable[[Sequence[Comparison], Sequence[Orders]], list[Score]]
RewardRule = Callable[[Sequence[Choice], Sequence[Sequence[float]]], list[Score]]


@dataclass(frozen=True)
class Description:
    """What users see of a benchmark."""

    name: str
    """Its name on the command line."""
    title: str
    rule: str
    """How it is scored, in one or two sentences."""


@dataclass(frozen=True, kw_only=True)
class _Definition:
    """What the definitions of all benchmarks have in common."""

    about: Description
    source: Source
    columns: tuple[str, ...]
    """The columns that are read; files are recognized by them."""
    known_subsets: frozenset[str] = frozenset()
    """The subsets by which files are recognized in addition, if files of other kinds have the same columns; empty if
    the columns suffice."""


@dataclass(frozen=True, kw_only=True)
class PairBenchmark(_Definition):
    """Two answers per row, judged in both orders."""

    read: Callable[[str, dict[str, Any]], Comparison | None]
    """From the path of the file and a row's cells to the comparison, with its subset as the tag `source` and its label
    as the vote; None for rows that are not scored. Raises UnreadableError."""
    score: PairRule


@dataclass(frozen=True, kw_only=True)
class ChoiceBenchmark(_Definition):
    """Any number of answers per row, each with a reward."""

    read: Callable[[str, dict[str, Any]], Choice]
    """From the path of the file and a row's cells to prompt and answers. Raises UnreadableError."""
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


def order_preferences(comparisons: Sequence[Comparison], orders: Sequence[Orders]) -> list[list[int]]:
    """The `preference` in each order of each comparison, [rows, 2]."""
    return [[preference(v, c) for v in verdicts] for c, verdicts in zip(comparisons, orders, strict=True)]
