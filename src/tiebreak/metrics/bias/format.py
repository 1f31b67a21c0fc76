"""Format bias: preference for the answer with more lists, code, bold text or headings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.metrics.bias.preference import Preference, answer_texts, preference_of, validate_amounts, win_rate
from tiebreak.metrics.intervals import GroupedRows
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
"""Patterns counted in an answer: list items, code fence lines, bold passages and headings."""


def format_bias(
    probabilities: ArrayLike,
    votes: Sequence[Vote | None],
    counts: Mapping[str, tuple[ArrayLike, ArrayLike]],
    groups: Sequence[str] | None = None,
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
) -> dict[str, Preference]:
    """For each format, the win rate of the answer with more of it: the judge's, the voters', and the excess.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`.
        votes: [rows].
        counts: for each format, its counts in A and in B, [rows] each; see `format_counts`.
        groups: as in `GroupedRows`.
        weights: as in `GroupedRows`.
        level: as in `GroupedRows`.

    Returns:
        By format. A format without any row where A and B differ is left out.

    Raises:
        ComparisonsError: as in `length_bias`.
    """
    p, targets = validate_rows(probabilities, votes)
    grouped = GroupedRows(len(p), groups, level=level, weights=weights)
    rates = np.stack([win_rate(p), win_rate(targets)], axis=1)
    preferences = {}
    for name, (counts_a, counts_b) in counts.items():
        a, b = validate_amounts(name, counts_a, counts_b, len(p))
        if (a != b).any():
            preferences[name] = preference_of(rates, np.sign(a - b), grouped)
    return preferences


def format_counts(comparisons: Sequence[Comparison]) -> dict[str, tuple[list[int], list[int]]]:
    """Counts of each of `FORMATS` in the replies of A and of B, [rows] each, without a shared history."""
    answers = [answer_texts(c) for c in comparisons]
    return {
        name: (
            [sum(len(pattern.findall(text)) for text in a) for a, _ in answers],
            [sum(len(pattern.findall(text)) for text in b) for _, b in answers],
        )
        for name, pattern in FORMATS.items()
    }
