"""Which answer has more lists, code, bold passages and headings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.metrics.bias.preference import Preference, answer_texts, preference_of, validate_amounts, win_rate
from tiebreak.metrics.bootstrap import Bootstrap
from tiebreak.metrics.log_loss import validate_rows
from tiebreak.types import Comparison, Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FORMATS: Final = {
    "lists": re.compile(r"^\s*(?:[-*•+]|\(?\d{1,3}[.)])\s+\S", re.M),
    "code": re.compile(r"^\s*```", re.M),
    "bold": re.compile(r"\*\*[^*\n]+\*\*"),
    "headings": re.compile(r"^\s{0,3}#{1,6}\s+\S", re.M),
}
"""What is counted in an answer: list items, lines of code fences, bold passages and headings."""


def format_bias(
    probabilities: ArrayLike,
    votes: Sequence[Vote | None],
    counts: Mapping[str, tuple[ArrayLike, ArrayLike]],
    groups: Sequence[str] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Preference]:
    """For each format, how often the answer that has more of it wins: by the judge, by people, and the excess.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`.
        votes: [rows].
        counts: for each format how much of it A has, and B, [rows] each; see `format_counts`.
        groups: as in `Bootstrap`.
        resamples: as in `Bootstrap`.
        seed: as in `Bootstrap`.
        level: as in `Bootstrap`.

    Returns:
        Under the formats' names; a format that no row has more of on one side is left out.

    Raises:
        ComparisonsError: as `length_bias`.
    """
    given, target = validate_rows(probabilities, votes)
    bootstrap = Bootstrap(len(given), groups, resamples=resamples, seed=seed, level=level)
    rates = np.stack([win_rate(given), win_rate(target)], axis=1)
    found = {}
    for name, (of_a, of_b) in counts.items():
        a, b = validate_amounts(of_a, of_b, len(given))
        if (a != b).any():
            found[name] = preference_of(rates, np.sign(a - b), bootstrap)
    return found


def format_counts(comparisons: Sequence[Comparison]) -> dict[str, tuple[list[int], list[int]]]:
    """How often each of `FORMATS` stands in A's replies and in B's, [rows] each; of a shared history, nothing."""
    own = [answer_texts(c) for c in comparisons]
    return {
        name: (
            [sum(len(pattern.findall(text)) for text in a) for a, _ in own],
            [sum(len(pattern.findall(text)) for text in b) for _, b in own],
        )
        for name, pattern in FORMATS.items()
    }
