"""Judges compared on the same rows: log loss, accuracy, and how much better the first one is than each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tiebreak.judges import load_judge, probability_array
from tiebreak.metrics import Estimate, GroupedRows
from tiebreak.metrics.log_loss import losses_by_outcome, right_and_wrong, validate_rows
from tiebreak.runs import RunFolder
from tiebreak.types import Comparison, Vote
from tiebreak.weights import row_weights
from tiebreak.workflows.baselines import BASELINE_NAMES, fit_baselines_beside

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


SHARES: Final = "shares of these votes"
UNIFORM: Final = ("a uniform guess", "a uniform guess between A and B")
"""The names of guesses that need no judge."""


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
    weights: ArrayLike | None = None,
) -> list[JudgeComparison]:
    """Compare a judge with others, and with guesses that need no judge.

    Guesses: a uniform guess over the outcomes that the judge knows; and, unless the prior baseline is among the
    others, the shares of these votes.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`, of the measured judge.
        votes: [rows].
        others: name -> probabilities [rows, 3] of another judge.
        groups: [rows], as in `GroupedRows`.
        weights: [rows], as in `GroupedRows`.

    Returns:
        The others and the guesses, the lowest log loss first.
    """
    own, target = validate_rows(probabilities, votes)
    voted, rows = target.argmax(axis=1), len(target)
    own_losses = losses_by_outcome(own)
    grouped = GroupedRows(rows, groups, weights=weights)

    def compare(name: str, p: NDArray[np.float64], *, names_outcome: bool = True) -> JudgeComparison:
        losses = losses_by_outcome(p)
        gains = losses - own_losses
        numerators = np.stack([(target * of_judge).sum(axis=1) for of_judge in (losses, gains)], axis=1)
        extremes = right_and_wrong(p, target) * losses, right_and_wrong(own, target) * gains
        rare = np.stack([grouped.average(of_judge.sum(axis=2), axis=1) for of_judge in extremes], axis=1)
        loss, gain = grouped.means(numerators, rare=rare, bounds=([0, -np.inf], np.inf))
        [accuracy] = grouped.proportions((p.argmax(axis=1) == voted)[:, None])
        return JudgeComparison(name, loss, accuracy if names_outcome else None, gain)

    comparisons = [compare(name, validate_rows(p, votes)[0]) for name, p in others.items()]
    if BASELINE_NAMES["prior"] not in others:
        comparisons.append(compare(SHARES, np.tile(grouped.average(target), (rows, 1))))
    knows_ties = bool(own[:, 2].any())
    guess = UNIFORM[0] if knows_ties else UNIFORM[1]
    uniform = np.full(3, 1 / 3) if knows_ties else np.array([0.5, 0.5, 0.5])
    comparisons.append(compare(guess, np.tile(uniform, (rows, 1)), names_outcome=False))
    return sorted(comparisons, key=lambda row: row.loss.value)


def compare_with_baselines(
    run: RunFolder,
    probabilities: NDArray[np.float64],
    comparisons: Sequence[Comparison],
    log: Callable[[str], None],
) -> tuple[JudgeComparison, ...]:
    """Compare a run with the baselines in its folder, which are fitted first if they are missing.

    Args:
        run: the run.
        probabilities: [rows, 3], the run's.
        comparisons: [rows], with votes; those of weight 0 are left out.
        log: called with one sentence at a time.
    """
    fit_baselines_beside(run.path, trees=True, log=log)
    others = {}
    for kind, name in BASELINE_NAMES.items():
        baseline = RunFolder(run.baselines / kind)
        if baseline.is_finished:
            others[name] = probability_array(load_judge(baseline.path).compare_many(comparisons))
    counted = [i for i, row in enumerate(comparisons) if row.weight]
    rows = [comparisons[i] for i in counted]
    return tuple(
        compare_judges(
            probabilities[counted],
            [row.required_vote() for row in rows],
            {name: p[counted] for name, p in others.items()},
            [row.folded_prompt for row in rows],
            row_weights(rows),
        )
    )
