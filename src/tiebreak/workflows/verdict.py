"""One sentence on how good a judge is: better than guessing, than length, than boosted trees, or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from tiebreak.errors import RunError
from tiebreak.runs import RunFolder, read_validation_rows
from tiebreak.workflows.baselines import BASELINE_NAMES, comparable_kinds, read_baselines
from tiebreak.workflows.comparison import SHARES, JudgeComparison, compare_judges
from tiebreak.workflows.predictions import read_run_predictions

Standing = Literal["better", "unclear", "worse"]
"""Of a judge to another: whether the interval of the difference of their log losses is above, around or below 0."""

_GUESSES: Final = (BASELINE_NAMES["prior"], SHARES)
_BASELINES: Final = tuple(name for kind, name in BASELINE_NAMES.items() if kind != "prior")
_FEW_ROWS: Final = 200
"""Rows below which the interval of a log loss is wider than what most changes of a recipe gain."""


@dataclass(frozen=True)
class RunVerdict:
    """How a judge compares with guesses and baselines on the same rows."""

    usable: bool
    """Whether it is better than the shares of the votes, which know no text, with 95 % confidence."""
    headline: str
    remedy: str
    """What to do; empty if it is better than all others."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def judge_run(run: RunFolder) -> RunVerdict:
    """The verdict on a finished run, from its predictions on its validation rows and those of its baselines.

    Raises:
        RunError: the run has no predictions, or they cannot be read.
    """
    own, kept = read_run_predictions(run.path), read_validation_rows(run)
    kinds = comparable_kinds(run)
    others = {b.name: b.probabilities for kind, b in read_baselines(run, own).items() if kind in kinds}
    counted = np.arange(len(own.votes)) if own.weights is None else np.flatnonzero(own.weights)
    prompts = None if kept is None else {row.id: row.folded_prompt for row in kept.comparisons}
    comparisons = compare_judges(
        own.probabilities[counted],
        [own.votes[i] for i in counted],
        {name: p[counted] for name, p in others.items()},
        None if prompts is None else [prompts[own.ids[i]] for i in counted],
        None if own.weights is None else own.weights[counted],
    )
    return judge_comparisons(float(own.losses[counted].mean()), len(counted), comparisons)


def find_verdict(run: RunFolder, log: Callable[[str], None]) -> RunVerdict | None:
    """The verdict on a run; None, and a line for `log`, if its predictions are missing or cannot be read."""
    try:
        return judge_run(run)
    except RunError as error:
        log(f"The judge cannot be compared with guessing: {error}")
        return None


def judge_comparisons(loss: float, rows: int, comparisons: Sequence[JudgeComparison]) -> RunVerdict:
    """The verdict on a judge.

    Args:
        loss: its log loss.
        rows: that it was measured on.
        comparisons: with baselines and guesses, of which one is the shares of the votes. Other judges are ignored.
    """
    if not math.isfinite(loss):
        return RunVerdict(False, "Diverged: the log loss is not finite.", _LOWER_RATE)
    guess = next(c for c in comparisons if c.name in _GUESSES)
    standing = _standing(guess)
    more_rows = f" It was measured on {rows:,} rows: validate on more." if rows < _FEW_ROWS else ""
    if standing == "worse":
        return RunVerdict(False, f"Worse than guessing. {_difference(guess)}", _LOWER_RATE + more_rows)
    if standing == "unclear":
        headline = f"Not shown to be better than guessing. {_difference(guess)}"
        return RunVerdict(False, headline, more_rows.strip() or _MORE_VOTES)
    rivals = [c for c in comparisons if c.name in _BASELINES]
    hardest = min(rivals or [guess], key=lambda c: c.gain.value)
    if not rivals:
        return RunVerdict(True, f"Better than guessing. {_difference(hardest)}", "")
    if _standing(hardest) == "better":
        return RunVerdict(True, f"Better than every baseline. {_difference(hardest)}", "")
    word = "worse than" if _standing(hardest) == "worse" else "not shown to be better than"
    headline = f"Better than guessing, but {word} {hardest.name}. {_difference(hardest)}"
    return RunVerdict(True, headline, _MORE_VOTES + more_rows)


_LOWER_RATE: Final = "Lower training.learning_rate, or train on more votes, and watch the validation loss."
_MORE_VOTES: Final = "Train on more votes, or with a larger base model."


def _standing(comparison: JudgeComparison) -> Standing:
    if comparison.gain.low > 0:
        return "better"
    return "worse" if comparison.gain.high < 0 else "unclear"


def _difference(other: JudgeComparison) -> str:
    """The log loss of another judge, and the interval of its difference to this one's."""
    gain, higher = other.gain, other.gain.value >= 0
    low, high = (gain.low, gain.high) if higher else (-gain.high, -gain.low)
    interval = f" [{low:.3f}, {high:.3f}]" if math.isfinite(low) else ""  # there is none for rows of one prompt
    return (
        f"The log loss of {other.name} is {other.loss.value:.3f}, {abs(gain.value):.3f}{interval} "
        f"{'higher' if higher else 'lower'} than the judge's."
    )
