"""What a file of votes is like: sizes, shares, and what is odd about it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tiebreak.data.vote_file import VoteFile
from tiebreak.types import OUTCOMES, Comparison, Outcome, Vote


@dataclass(frozen=True)
class Lengths:
    """Percentiles of a length by nearest rank, so each is one that occurs."""

    median: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True)
class TextLengths:
    """The lengths of a text over all its turns."""

    characters: Lengths
    words: Lengths
    """Between white space."""


@dataclass(frozen=True)
class Summary:
    """A file of votes in numbers.

    Lines are as in `VoteFile.lines`. Unreadable rows count in `rows` and `problems`, and nowhere else.
    """

    path: str
    format: str
    layout: str
    rows: int
    usable_rows: int
    """Rows that `problem_rows=skip` would leave: readable, no text empty, no id used before."""
    shares: dict[str, float] | None
    """The mean vote by outcome; None if there are no votes."""
    margins: int
    """Rows whose vote has a margin above 0."""
    prompt: TextLengths | None
    """None, like the next four, if no row is readable."""
    answers: TextLengths | None
    """Over the answers of both sides."""
    whole: TextLengths | None
    """Prompt and both answers together."""
    mean_length_difference: float | None
    """Mean absolute difference between the two answers, in characters."""
    multi_turn_share: float | None
    duplicate_groups: int
    """Sets of rows with the same prompt and the same two answers, on whichever sides."""
    duplicate_rows: int
    """The rows in these sets."""
    contradictions: tuple[tuple[int, ...], ...]
    """Duplicates whose votes favour different outcomes: the lines of each such set."""
    identical_answers_with_winner: tuple[int, ...]
    """Lines of comparisons of an answer with itself that are no tie."""
    problems: dict[str, int]
    """How often each kind of problem was met."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, tuples and numbers, ready for `json.dumps`."""
        return asdict(self)


def summarise(file: VoteFile) -> Summary:
    """Counts and measures everything in a file that was read."""
    votes = [comparison.vote for comparison in file.comparisons if comparison.vote is not None]
    prompts = [comparison.prompt for comparison in file.comparisons]
    answers = [answer for comparison in file.comparisons for answer in (comparison.answer_a, comparison.answer_b)]
    whole = [(*c.prompt, *c.answer_a, *c.answer_b) for c in file.comparisons]
    groups = _duplicates(file)
    return Summary(
        path=str(file.path),
        format=file.format,
        layout=file.layout,
        rows=file.rows,
        usable_rows=file.rows - len({problem.line for problem in file.problems if problem.severity != "note"}),
        shares=_shares(votes),
        margins=sum(comparison.margin > 0 for comparison in file.comparisons),
        prompt=_text_lengths(prompts),
        answers=_text_lengths(answers),
        whole=_text_lengths(whole),
        mean_length_difference=_mean(
            [abs(_characters(c.answer_a) - _characters(c.answer_b)) for c in file.comparisons]
        ),
        multi_turn_share=_mean([float(len(prompt) > 1) for prompt in prompts]),
        duplicate_groups=len(groups),
        duplicate_rows=sum(map(len, groups)),
        contradictions=tuple(tuple(line for line, _ in group) for group in groups if _contradictory(group)),
        identical_answers_with_winner=tuple(
            line
            for line, c in zip(file.lines, file.comparisons, strict=True)
            if c.answer_a == c.answer_b and c.vote is not None and _favoured(c.vote) != "tie"
        ),
        problems=dict(Counter(problem.kind for problem in file.problems).most_common()),
    )


def _shares(votes: Sequence[Vote]) -> dict[str, float] | None:
    if not votes:
        return None
    return {outcome: math.fsum(vote[i] for vote in votes) / len(votes) for i, outcome in enumerate(OUTCOMES)}


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
    """The sets of two and more equal comparisons, each turned so that the answers stand in the same order."""
    groups: dict[tuple[tuple[str, ...], ...], list[tuple[int, Comparison]]] = defaultdict(list)
    for line, comparison in zip(file.lines, file.comparisons, strict=True):
        turned = comparison if comparison.answer_a <= comparison.answer_b else comparison.swap()
        groups[turned.prompt, turned.answer_a, turned.answer_b].append((line, turned))
    return [group for group in groups.values() if len(group) > 1]


def _contradictory(group: Sequence[tuple[int, Comparison]]) -> bool:
    favoured = {_favoured(comparison.vote) for _, comparison in group if comparison.vote is not None}
    _, first = group[0]
    if first.answer_a == first.answer_b:  # nobody can say which of the two won
        favoured = {"tie" if outcome == "tie" else "model_a" for outcome in favoured}
    return len(favoured) > 1


def _favoured(vote: Vote) -> Outcome:
    return OUTCOMES[vote.index(max(vote))]
