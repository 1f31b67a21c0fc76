"""Weighted calibrations, blends and tie parameters equal those of copies."""

from __future__ import annotations

import numpy as np
import pytest

from tiebreak.calibration import fit_blend_weights, fit_calibration, fit_map, member_gains, out_of_fold_blend
from tiebreak.calibration.maps import objective
from tiebreak.errors import DataError
from tiebreak.ranking import fit_tie_parameter

ROWS = 300
draw = np.random.default_rng(0)
TRUTH = draw.dirichlet([1.5, 1.5, 1.0], ROWS)
VOTES = np.eye(3)[(draw.random(ROWS)[:, None] > TRUTH.cumsum(axis=1)).sum(axis=1).clip(0, 2)]
SHARP = TRUTH**2 / (TRUTH**2).sum(axis=1, keepdims=True)
OTHER = 0.6 * TRUTH + 0.4 * draw.dirichlet([1, 1, 1], ROWS)
PROMPTS = [f"p {n}" for n in draw.integers(0, 80, ROWS)]
K = draw.integers(1, 5, ROWS)
COPIED = np.repeat(np.arange(ROWS), K)
COPIED_PROMPTS = [PROMPTS[i] for i in COPIED]


def tuples(votes: np.ndarray) -> list[tuple[float, float, float]]:
    return [(a, b, tie) for a, b, tie in votes.tolist()]


@pytest.mark.parametrize("method", ["temperature", "vector", "dirichlet"])
def test_a_map_of_weighted_rows_is_that_of_copies(method: str) -> None:
    weighted = fit_map(method, SHARP, VOTES, K.astype(float)).affine()
    copies = fit_map(method, SHARP[COPIED], VOTES[COPIED]).affine()
    plain = fit_map(method, SHARP, VOTES).affine()
    np.testing.assert_allclose(np.hstack([*weighted[0], weighted[1]]), np.hstack([*copies[0], copies[1]]), atol=1e-5)
    assert np.abs(weighted[0] - plain[0]).max() > 1e-3
    parameters = {"temperature": [0.7], "vector": [0.7, 1.2, 0.1], "dirichlet": [0.7, 0.1, 0, 0.2, 1.1, 0.1]}[method]
    both = [
        objective(np.array(parameters), method, p[:, None], votes, weights)
        for p, votes, weights in ((SHARP, VOTES, K.astype(float)), (SHARP[COPIED], VOTES[COPIED], None))
    ]
    assert both[0][0] == pytest.approx(both[1][0], rel=1e-12)
    np.testing.assert_allclose(both[0][1], both[1][1], rtol=1e-9, atol=1e-12)


def test_a_calibration_is_chosen_as_from_copies() -> None:
    weighted = fit_calibration(SHARP[:, None], tuples(VOTES), PROMPTS, weights=K)
    copies = fit_calibration(SHARP[COPIED][:, None], tuples(VOTES[COPIED]), COPIED_PROMPTS)
    assert (weighted.method, weighted.rows, weighted.prompts) == (copies.method, ROWS, copies.prompts)
    assert weighted.method != "none"
    for one, other in zip(weighted.candidates, copies.candidates, strict=True):
        wanted = other.model_dump(exclude={"method"})
        assert one.model_dump(exclude={"method"}) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert fit_calibration(SHARP[:, None], tuples(VOTES), PROMPTS, weights=np.ones(ROWS)) == (
        fit_calibration(SHARP[:, None], tuples(VOTES), PROMPTS)
    )


def test_too_few_effective_rows_are_not_calibrated_on() -> None:
    weights = np.r_[np.full(20, 100.0), np.full(ROWS - 20, 0.1)]
    size = weights.sum() ** 2 / (weights**2).sum()
    with pytest.raises(
        DataError, match=rf"votes: 300 weighted rows count as {size:.1f} rows of equal weight, which are too few"
    ):
        fit_calibration(SHARP[:, None], tuples(VOTES), PROMPTS, weights=weights)


def test_blend_weights_are_those_of_copies() -> None:
    both = np.array([SHARP, OTHER])
    weighted = fit_blend_weights(both, VOTES, K)
    np.testing.assert_allclose(weighted, fit_blend_weights(both[:, COPIED], VOTES[COPIED]), atol=1e-5)
    assert np.abs(weighted - fit_blend_weights(both, VOTES)).max() > 1e-3
    out_of_fold = out_of_fold_blend(both, tuples(VOTES), PROMPTS, K)
    of_copies = out_of_fold_blend(both[:, COPIED], tuples(VOTES[COPIED]), COPIED_PROMPTS)
    np.testing.assert_allclose(out_of_fold[COPIED], of_copies, atol=1e-5)
    np.testing.assert_allclose(
        member_gains(both, tuples(VOTES), PROMPTS, K),
        member_gains(both[:, COPIED], tuples(VOTES[COPIED]), COPIED_PROMPTS),
        atol=1e-5,
    )


def test_the_tie_parameter_of_weighted_votes_is_that_of_copies() -> None:
    rewards = np.log(TRUTH[:, :2])
    weighted = fit_tie_parameter(rewards, VOTES, K)
    assert weighted == pytest.approx(fit_tie_parameter(rewards[COPIED], VOTES[COPIED]), abs=1e-4)
    assert abs(weighted - fit_tie_parameter(rewards, VOTES)) > 1e-3
    kept = np.arange(ROWS) % 3 > 0
    assert fit_tie_parameter(rewards, VOTES, kept.astype(float)) == pytest.approx(
        fit_tie_parameter(rewards[kept], VOTES[kept]), abs=1e-6
    )
