"""Summary statistics of a file of votes: sizes, shares of outcomes, lengths, duplicates and contradictions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tiebreak.data.vote_file import VoteFile
from tiebreak.types import OUTCOMES, Comparison, Outcome, Vote
from tiebreak.weights import effective_rows, row_weights


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
class Weights:
    """Weights of rows, in training and evaluation."""

    rows: int
    """Rows with another weight than 1."""
    zero_rows: int
    """Rows of weight 0, which are judged but do not count."""
    sum: float
    effective_rows: float
    """As many rows of equal weight are as precise; see `tiebreak.weights.effective_rows`."""


@dataclass(frozen=True)
class Summary:
    """Summary statistics of a file of votes.

    Lines are those of `VoteFile.lines`. Unreadable rows count in `rows` and `problems` only.
    """

    path: str
    format: str
    layout: str
    rows: int
    usable_rows: int
    """Rows that `problem_rows=skip` keeps: readable, without empty texts or repeated ids."""
    shares: dict[str, float] | None
    """The mean vote per outcome; None if there are no votes."""
    margins: int
    """Rows whose vote has a margin above 0."""
    weights: Weights | None
    """None if all rows have weight 1."""
    prompt: TextLengths | None
    """None, like the next four fields, if no row is readable."""
    answers: TextLengths | None
    """The answers of both sides."""
    whole: TextLengths | None
    """Prompt and both answers together."""
    mean_length_difference: float | None
    """Mean absolute difference between the two answers, in characters."""
    multi_turn_share: float | None
    duplicate_groups: int
    """Sets of rows with the same prompt and the same two answers, in either order."""
    duplicate_rows: int
    """Rows in these sets."""
    contradictions: tuple[tuple[int, ...], ...]
    """The lines of each set of duplicates whose votes favour different outcomes."""
    identical_answers_with_winner: tuple[int, ...]
    """Lines of comparisons of an answer with itself whose vote is not a tie."""
    problems: dict[str, int]
    """Number of problems of each kind."""
    unread_columns: dict[str, str]
    """Columns that are ignored, each with what is read instead, or with an empty text."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, tuples and numbers, for `json.dumps`."""
        return asdict(self)


def summarise(file: VoteFile) -> Summary:
    """Compute the summary of a file."""
    votes = [comparison.vote for comparison in file.comparisons if comparison.vote is not None]
    prompts = [comparison.prompt for comparison in file.comparisons]
    answers = [answer for comparison in file.comparisons for answer in (comparison.answer_a, comparison.answer_b)]
    comparison_texts = [(*c.prompt, *c.answer_a, *c.answer_b) for c in file.comparisons]
    groups = _duplicates(file)
    return Summary(
        path=str(file.path),
        format=file.format,
        layout=file.layout,
        rows=file.rows,
        usable_rows=file.rows - len({problem.line for problem in file.problems if problem.severity != "note"}),
        shares=_shares(votes),
        margins=sum(comparison.margin > 0 for comparison in file.comparisons),
        weights=_weights(file.comparisons),
        prompt=_text_lengths(prompts),
        answers=_text_lengths(answers),
        whole=_text_lengths(comparison_texts),
        mean_length_difference=_mean(
            [abs(_characters(c.answer_a) - _characters(c.answer_b)) for c in file.comparisons]
        ),
        multi_turn_share=_mean([float(len(prompt) > 1) for prompt in prompts]),
        duplicate_groups=len(groups),
        duplicate_rows=sum(map(len, groups)),
        contradictions=tuple(tuple(line for line, _ in group) for group in groups if _is_contradictory(group)),
        identical_answers_with_winner=tuple(
            line
            for line, c in zip(file.lines, file.comparisons, strict=True)
            if c.answer_a == c.answer_b and c.vote is not None and _favoured(c.vote) != "tie"
        ),
        problems=dict(Counter(problem.kind for problem in file.problems).most_common()),
        unread_columns={column.name: column.hint for column in file.unread_columns},
    )


def _shares(votes: Sequence[Vote]) -> dict[str, float] | None:
    if not votes:
        return None
    return {outcome: math.fsum(vote[i] for vote in votes) / len(votes) for i, outcome in enumerate(OUTCOMES)}


def _weights(comparisons: Sequence[Comparison]) -> Weights | None:
    weights = row_weights(comparisons)
    if weights is None:
        return None
    zero = int((weights == 0).sum())
    return Weights(int((weights != 1).sum()), zero, float(weights.sum()), effective_rows(weights))


def _text_lengths(texts: Sequence[tuple[str, ...]]) -> TextLengths | None:
    if not texts:
        return None
    words = [sum(len(turn.split()) for turn in text) for text in texts]
    return TextLengths(_lengths([_characters(text) for text in texts]), _lengths(words))


def _lengths(values: Sequence[int]) -> Lengths:
    ranked = sorted(values)
    median, p90, p99 = (ranked[math.ceil(len(ranked) * percent / 100) - 1] for percent in (50, 90, 99))
    return Lengths(median, p90, p99, ranked[-1])


def _characters(text: Iterable[str]) -> int:
    return sum(map(len, text))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _duplicates(file: VoteFile) -> list[list[tuple[int, Comparison]]]:
    """The sets of two or more equal comparisons, with their lines, swapped so that the answers have the same order."""
    groups: dict[tuple[tuple[str, ...], ...], list[tuple[int, Comparison]]] = defaultdict(list)
    for line, comparison in zip(file.lines, file.comparisons, strict=True):
        ordered = comparison if comparison.answer_a <= comparison.answer_b else comparison.swap()
        groups[ordered.prompt, ordered.answer_a, ordered.answer_b].append((line, ordered))
    return [group for group in groups.values() if len(group) > 1]


def _is_contradictory(group: Sequence[tuple[int, Comparison]]) -> bool:
    favoured = {_favoured(comparison.vote) for _, comparison in group if comparison.vote is not None}
    _, first = group[0]
    if first.answer_a == first.answer_b:  # the votes do not say which of the two won
        favoured = {"tie" if outcome == "tie" else "model_a" for outcome in favoured}
    return len(favoured) > 1


def _favoured(vote: Vote) -> Outcome:
    return OUTCOMES[vote.index(max(vote))]
