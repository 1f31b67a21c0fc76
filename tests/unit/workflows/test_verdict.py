"""The verdict on a judge, from comparisons with guesses and baselines on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tiebreak.types import A_WINS, B_WINS, Vote
from tiebreak.workflows.baselines import BASELINE_NAMES
from tiebreak.workflows.comparison import compare_judges
from tiebreak.workflows.verdict import RunVerdict, judge_comparisons

TREES = BASELINE_NAMES["trees"]


def probabilities(right: float, rows: int) -> NDArray[np.float64]:
    """A judge that gives `right` to the outcome of each row, which alternates between A and B, and no ties."""
    p = np.zeros((rows, 3))
    p[::2, 0] = p[1::2, 1] = right
    p[::2, 1] = p[1::2, 0] = 1 - right
    return p


def verdict(right: float, rows: int = 400, **others: float) -> RunVerdict:
    votes: list[Vote] = [A_WINS if i % 2 == 0 else B_WINS for i in range(rows)]
    flipped = np.arange(rows) % 5 == 0  # a fifth of the votes is a surprise to everybody
    votes = [(B_WINS if v == A_WINS else A_WINS) if f else v for v, f in zip(votes, flipped, strict=True)]
    own = probabilities(right, rows)
    named = {TREES if name == "trees" else name: probabilities(value, rows) for name, value in others.items()}
    losses = [-np.log(p[:2] @ np.array(v[:2])) for p, v in zip(own, votes, strict=True)]
    return judge_comparisons(float(np.mean(losses)), rows, compare_judges(own, votes, named))


@pytest.mark.parametrize(
    ("result", "usable", "headline"),
    [
        (verdict(0.8), True, "Better than guessing. The log loss of shares of these votes is 0.693"),
        (verdict(0.8, trees=0.6), True, "Better than every baseline. The log loss of boosted trees is 0.592"),
        (verdict(0.7, trees=0.8), True, "Better than guessing, but worse than boosted trees."),
        (verdict(0.8, trees=0.799), True, "Better than guessing, but not shown to be better than boosted trees."),
        (verdict(0.501), True, "Better than guessing."),
        (verdict(0.3), False, "Worse than guessing. The log loss of shares of these votes is 0.693"),
        (verdict(0.999), False, "Worse than guessing."),
        (verdict(0.75, rows=20), False, "Not shown to be better than guessing."),
    ],
)
def test_a_judge_is_placed_among_guesses_and_baselines(result: RunVerdict, usable: bool, headline: str) -> None:
    assert result.usable == usable
    assert result.headline.startswith(headline)


def test_the_remedy_names_what_to_change() -> None:
    assert verdict(0.8).remedy == ""
    assert "Lower training.learning_rate" in verdict(0.3).remedy
    assert verdict(0.75, rows=20).remedy == "It was measured on 20 rows: validate on more."
    assert verdict(0.7, trees=0.8).remedy.startswith("Train on more votes, or with a larger base model.")


def test_a_loss_that_is_not_finite_is_called_diverged() -> None:
    assert judge_comparisons(float("nan"), 400, []) == RunVerdict(
        False,
        "Diverged: the log loss is not finite.",
        "Lower training.learning_rate, or train on more votes, and watch the validation loss.",
    )
