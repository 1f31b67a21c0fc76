"""Judges compared on the same rows: log loss, accuracy, and how much better the first one is than each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.metrics import Bootstrap, Estimate, cross_entropies
from tiebreak.types import Vote
from tiebreak.workflows.baselines import BASELINE_NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class JudgeComparison:
    """A judge's metrics on the rows that another judge is measured on."""

    name: str
    loss: Estimate
    """Log loss, in nats."""
    accuracy: Estimate | None
    """None for the uniform guess, which names no outcome."""
    gain: Estimate
    """By how much the measured judge's log loss is lower, paired by row."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        accuracy = None if self.accuracy is None else self.accuracy.to_dict()
        return {"name": self.name, "loss": self.loss.to_dict(), "accuracy": accuracy, "gain": self.gain.to_dict()}


def compare_judges(
    probabilities: NDArray[np.float64],
    votes: Sequence[Vote],
    others: Mapping[str, NDArray[np.float64]],
    groups: Sequence[str] | None = None,
) -> list[JudgeComparison]:
    """Compare a judge with others, and with guesses that need no judge.

    Guesses: a uniform guess over the outcomes that the judge knows; and, unless the prior baseline is among the
    others, the shares of these votes.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`, of the measured judge.
        votes: [rows].
        others: name -> probabilities [rows, 3] of another judge.
        groups: [rows], as in `Bootstrap`.

    Returns:
        The others and the guesses, the lowest log loss first.
    """
    target = np.asarray(votes, dtype=np.float64)
    truth = target.argmax(axis=1)
    own = cross_entropies(probabilities, votes)
    bootstrap = Bootstrap(len(own), groups)

    def compare(name: str, losses: NDArray[np.float64], correct: NDArray[np.bool_] | None) -> JudgeComparison:
        hits = np.zeros(len(losses)) if correct is None else correct
        loss, accuracy, gain = bootstrap.ratios(
            np.stack([losses, hits, losses - own], axis=1), bounds=([0, 0, -np.inf], [np.inf, 1, np.inf])
        )
        return JudgeComparison(name, loss, None if correct is None else accuracy, gain)

    rows = [compare(name, cross_entropies(p, votes), p.argmax(axis=1) == truth) for name, p in others.items()]
    if BASELINE_NAMES["prior"] not in others:
        prior = target.mean(axis=0)
        losses = -(target * np.log(np.where(prior > 0, prior, 1))).sum(axis=1)
        rows.append(compare("shares of these votes", losses, truth == prior.argmax()))
    knows_ties = bool(probabilities[:, 2].any())
    guess = "a uniform guess" if knows_ties else "a uniform guess between A and B"
    rows.append(compare(guess, np.full(len(own), np.log(3 if knows_ties else 2)), None))
    return sorted(rows, key=lambda row: row.loss.value)
