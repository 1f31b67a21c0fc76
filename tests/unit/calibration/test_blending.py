from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from tiebreak.calibration.blending import fit_blend_weights, member_gains, out_of_fold_blend, weighted_mean
from tiebreak.errors import DataError
from tiebreak.metrics.log_loss import cross_entropies
from tiebreak.types import A_WINS, B_WINS, TIE


def judges(seed: int, count: int, rows: int) -> tuple[np.ndarray, list[tuple[float, float, float]]]:
    """Judges that see the truth through noise of their own, and votes drawn from the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(rows, 3)) * 1.5
    noisy = truth + rng.normal(size=(count, rows, 3)) * np.linspace(0.5, 2.5, count)[:, None, None]
    p, q = (np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in (truth, noisy))
    return q, [(A_WINS, B_WINS, TIE)[rng.choice(3, p=row)] for row in p]


@settings(max_examples=15)
@given(st.integers(0, 30), st.integers(2, 4))
def test_the_weights_are_the_minimum_that_a_general_optimiser_finds(seed: int, count: int) -> None:
    q, votes = judges(seed, count, 120)
    weights = fit_blend_weights(q, votes)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)

    def loss(x: np.ndarray) -> float:
        return float(cross_entropies(weighted_mean(q, np.exp(x) / np.exp(x).sum()), votes).mean())

    best = minimize(loss, np.zeros(count), method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-10})
    assert cross_entropies(weighted_mean(q, weights), votes).mean() <= best.fun + 1e-6


def test_a_blend_is_no_worse_than_its_best_judge_and_each_adds_something() -> None:
    q, votes = judges(0, 3, 2000)
    alone = [cross_entropies(judge, votes).mean() for judge in q]
    weights = fit_blend_weights(q, votes)
    assert cross_entropies(weighted_mean(q, weights), votes).mean() < min(alone)
    assert weights[0] > weights[1] > weights[2]
    prompts = [str(i // 2) for i in range(2000)]
    added = member_gains(q, votes, prompts)
    assert added.min() > -0.001
    assert added.argmax() == 0
    whole = cross_entropies(out_of_fold_blend(q, votes, prompts), votes).mean()
    assert whole + added[0] == pytest.approx(cross_entropies(out_of_fold_blend(q[1:], votes, prompts), votes).mean())


def test_a_judge_that_knows_nothing_of_its_own_gets_no_weight() -> None:
    q, votes = judges(1, 1, 3000)
    rng = np.random.default_rng(5)
    noise = rng.dirichlet([1, 1, 1], size=3000)
    assert fit_blend_weights([q[0], noise], votes)[1] < 0.1
    same = fit_blend_weights([q[0], q[0]], votes)
    assert same.tolist() == pytest.approx([0.5, 0.5])
    prompts = [str(i) for i in range(3000)]
    assert member_gains([q[0], q[0]], votes, prompts).tolist() == pytest.approx([0, 0], abs=1e-8)


def test_no_row_is_blended_with_weights_that_saw_its_prompt() -> None:
    q = np.random.default_rng(0).dirichlet([3, 3, 3], size=(2, 60))  # of like quality, so that each has some weight
    _, votes = judges(0, 1, 60)
    prompts = [str(i // 3) for i in range(60)]
    said = out_of_fold_blend(q, votes, prompts)
    parts = np.round((said - q[1])[:, 0] / (q[0] - q[1])[:, 0], 8)  # the first judge's weight, row by row
    assert all(len(set(parts[i : i + 3])) == 1 for i in range(0, 60, 3))
    assert len(set(parts)) == 5
    others = [(B_WINS if vote == A_WINS else A_WINS) if row < 3 else vote for row, vote in enumerate(votes)]
    changed = np.abs(out_of_fold_blend(q, others, prompts) - said).max(axis=1)
    fold = parts == parts[0]
    assert changed[fold].max() < 1e-9
    assert changed[~fold].min() > 1e-6
    with pytest.raises(DataError, match="4 prompts are too few to fit weights to"):
        out_of_fold_blend(q, votes, [str(i % 4) for i in range(60)])


def test_the_measure_of_a_blend_is_not_flattered() -> None:
    """Twenty judges of nothing: weights find something in 100 votes, and nothing in others."""
    rng = np.random.default_rng(0)
    q, votes = rng.dirichlet([3, 3, 3], size=(20, 100)), [(A_WINS, B_WINS, TIE)[i] for i in rng.integers(3, size=100)]
    inside = cross_entropies(weighted_mean(q, fit_blend_weights(q, votes)), votes).mean()
    outside = cross_entropies(out_of_fold_blend(q, votes, [str(i) for i in range(100)]), votes).mean()
    assert inside < np.log(3) - 0.02
    assert outside > inside + 0.05


def test_swapping_the_sides_changes_no_weight() -> None:
    q, votes = judges(2, 3, 300)
    swapped = [(b, a, tie) for a, b, tie in votes]
    assert fit_blend_weights(q[..., [1, 0, 2]], swapped).tolist() == pytest.approx(fit_blend_weights(q, votes).tolist())


def test_what_cannot_be_blended_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(0,\)"):
        fit_blend_weights([], [])
    with pytest.raises(DataError, match=r"give \[judges, rows, 3\]"):
        fit_blend_weights(np.zeros((2, 0, 3)), [])
    with pytest.raises(ValueError, match="sum to 1 in every row"):
        fit_blend_weights(np.full((1, 2, 3), 0.5), [A_WINS, TIE])
    with pytest.raises(ValueError, match="not finite"):
        fit_blend_weights(np.full((1, 1, 3), np.nan), [A_WINS])
    impossible = np.array([[[1.0, 0.0, 0.0]], [[0.2, 0.5, 0.3]]])
    assert fit_blend_weights(impossible, [B_WINS])[1] == pytest.approx(1)
