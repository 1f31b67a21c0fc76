"""Calibration maps: known maps are recovered, swapping A and B changes nothing, and a map is kept only if it helps."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.optimize import check_grad
from scipy.special import softmax

from tiebreak.calibration import (
    Calibration,
    CalibrationMap,
    Dirichlet,
    Identity,
    Method,
    Temperature,
    VectorScaling,
    check_calibration_votes,
    fit_calibration,
    fit_map,
)
from tiebreak.calibration.maps import PARAMETERS, objective
from tiebreak.errors import DataError
from tiebreak.metrics import cross_entropies
from tiebreak.types import A_WINS, B_WINS, TIE, Vote

KNOWN = {
    "temperature": Temperature(temperature=1.7),
    "vector": VectorScaling(scale=0.6, scale_tie=1.3, bias_tie=-0.4),
    "dirichlet": Dirichlet(weights=((0.9, 0.3, 0.1), (0.3, 0.9, 0.1), (0.2, 0.2, 1.2)), bias=(0.0, 0.0, 0.5)),
}


def simulated(
    truth: CalibrationMap, rows: int, *, seed: int = 0, orders: int = 1
) -> tuple[np.ndarray, list[Vote], list[str]]:
    """What a judge says, [rows, orders, 3], and votes as `truth` makes them of it."""
    rng = np.random.default_rng(seed)
    judged = softmax(rng.normal(size=(rows, 3)) * 1.5, axis=-1)
    chances = truth.apply(judged)
    chosen = (rng.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=2)
    votes = [(A_WINS, B_WINS, TIE)[i] for i in chosen]
    return np.repeat(judged[:, None], orders, axis=1), votes, [f"prompt {i // 2}" for i in range(rows)]


def test_a_known_temperature_is_found_again() -> None:
    judged, votes, _ = simulated(KNOWN["temperature"], 40_000)
    found = fit_map("temperature", judged[:, 0], votes)
    assert isinstance(found, Temperature)
    assert found.temperature == pytest.approx(1.7, rel=0.03)


def test_known_scales_of_a_vector_are_found_again() -> None:
    judged, votes, _ = simulated(KNOWN["vector"], 40_000)
    found = fit_map("vector", judged[:, 0], votes)
    assert isinstance(found, VectorScaling)
    assert (found.scale, found.scale_tie, found.bias_tie) == pytest.approx((0.6, 1.3, -0.4), abs=0.05)


@pytest.mark.parametrize("method", ["temperature", "vector", "dirichlet"])
def test_known_probabilities_are_found_again_from_soft_votes(method: Method) -> None:
    """Soft votes that are the true chances leave no noise: up to the prior's part the map is found exactly."""
    judged, _, _ = simulated(Identity(), 20_000)
    chances = KNOWN[method].apply(judged[:, 0])
    found = fit_map(method, judged[:, 0], chances)
    np.testing.assert_allclose(found.apply(judged[:, 0]), chances, atol=2e-3)


def test_richer_maps_fit_no_worse() -> None:
    judged, votes, _ = simulated(KNOWN["dirichlet"], 5000)
    methods: list[Method] = ["none", "temperature", "vector", "dirichlet"]
    losses = [cross_entropies(fit_map(m, judged[:, 0], votes).apply(judged[:, 0]), votes).mean() for m in methods]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] - losses[3] > 1e-3


@pytest.mark.parametrize("method", ["temperature", "vector", "dirichlet"])
@pytest.mark.parametrize("ties", [True, False])
def test_gradients_are_those_of_finite_differences(method: Method, ties: bool) -> None:
    judged, votes, _ = simulated(KNOWN["vector"], 60)
    rows = judged[:, 0].copy()
    target = np.array(votes) * np.linspace(0.5, 1, 60)[:, None]  # votes need not sum to 1
    if not ties:
        rows = np.where([True, True, False], rows, 0) / rows[:, :2].sum(axis=1, keepdims=True)
        target = target[:, [0, 1, 2]] * [1, 1, 0]
    at = np.array(PARAMETERS[method][0]) + np.random.default_rng(1).normal(size=len(PARAMETERS[method][0])) * 0.3
    orders = np.stack([rows, rows[:, [1, 0, 2]]], axis=1)
    error = check_grad(
        lambda x: objective(x, method, orders, target)[0], lambda x: objective(x, method, orders, target)[1], at
    )
    assert error < 1e-6


simplex = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda p: sum(p) > 0.1).map(
    lambda p: [x / sum(p) for x in p]
)  # fmt: skip
scale = st.floats(0.1, 3)
maps = st.one_of(
    st.builds(Temperature, temperature=scale),
    st.builds(VectorScaling, scale=scale, scale_tie=scale, bias_tie=st.floats(-3, 3)),
    st.tuples(*[st.floats(-2, 2)] * 6).map(
        lambda n: Dirichlet(weights=((n[0], n[1], n[2]), (n[1], n[0], n[2]), (n[3], n[3], n[4])), bias=(0.0, 0.0, n[5]))
    ),
)


@settings(deadline=None)
@given(mapped=maps, rows=st.lists(simplex, min_size=1, max_size=5))
def test_exchanging_the_answers_before_or_after_is_the_same(mapped: CalibrationMap, rows: list[list[float]]) -> None:
    given_rows = np.array(rows)
    calibrated = mapped.apply(given_rows)
    np.testing.assert_allclose(mapped.apply(given_rows[:, [1, 0, 2]]), calibrated[:, [1, 0, 2]], rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-12)
    assert (calibrated[given_rows == 0] == 0).all()


@pytest.mark.parametrize("method", ["temperature", "vector", "dirichlet"])
def test_what_is_fitted_knows_no_side(method: Method) -> None:
    """Votes that lean to A teach it nothing: exchanging all answers and votes gives the same map."""
    judged, votes, _ = simulated(KNOWN["vector"], 400)
    leaning = [A_WINS if vote == B_WINS and i % 2 else vote for i, vote in enumerate(votes)]
    here = fit_map(method, judged[:, 0], leaning)
    there = fit_map(method, judged[:, 0][:, [1, 0, 2]], [(b, a, tie) for a, b, tie in leaning])
    np.testing.assert_allclose(here.affine()[0], there.affine()[0], atol=1e-4)
    with pytest.raises(ValidationError, match="not symmetric"):
        Dirichlet(weights=((1, 0, 0), (0, 2, 0), (0, 0, 1)), bias=(0, 0, 0))


def test_no_calibration_is_kept_where_none_is_needed() -> None:
    chosen = []
    for seed in range(10):
        judged, votes, prompts = simulated(Identity(), 600, seed=seed, orders=2)
        chosen.append(fit_calibration(judged, votes, prompts).method)
    assert chosen.count("none") >= 8  # a standard error is exceeded by chance now and then
    judged, votes, prompts = simulated(Identity(), 600)
    calibration = fit_calibration(judged, votes, prompts)
    np.testing.assert_array_equal(calibration.apply(judged[:, 0]), judged[:, 0])
    assert str(calibration).startswith("Not calibrated: on 600 rows of votes no method lowers the log loss")


@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_the_simplest_sufficient_map_is_chosen(method: Method) -> None:
    judged, votes, prompts = simulated(KNOWN[method], 4000, orders=2)
    calibration = fit_calibration(judged, votes, prompts, source="cal.csv")
    assert calibration.method == method
    assert (calibration.rows, calibration.prompts, calibration.orders, calibration.votes) == (4000, 2000, 2, "cal.csv")
    before, after = calibration.candidate("none"), calibration.candidate(method)
    assert before.loss == pytest.approx(cross_entropies(judged[:, 0], votes).mean())
    assert before.loss - after.loss == pytest.approx(after.gain)
    assert after.gain > 5 * after.gain_error > 0
    assert after.error < 0.03 < before.error
    # Cross-validation is honest, and hardly worse than the fit to all rows.
    fitted = cross_entropies(calibration.apply(judged[:, 0]), votes).mean()
    assert 0 < after.loss - fitted < 2e-3
    assert f"Calibrated by {method} scaling on 4,000 rows of cal.csv: log loss" in str(calibration)


def test_two_orders_count_as_one_row() -> None:
    """The same order twice gives the same candidates, standard errors too."""
    judged, votes, prompts = simulated(KNOWN["temperature"], 500)
    once = fit_calibration(judged, votes, prompts)
    twice = fit_calibration(np.repeat(judged, 2, axis=1), votes, prompts)
    assert (once.orders, twice.orders) == (1, 2)
    for here, there in zip(once.candidates, twice.candidates, strict=True):
        assert here.model_dump(exclude={"method"}) == pytest.approx(there.model_dump(exclude={"method"}), abs=1e-6)


def test_rows_with_the_same_prompt_are_never_on_both_sides() -> None:
    """Ten copies of every row: apart, each would be fitted to itself, and many parameters would look good."""
    judged, votes, _ = simulated(Identity(), 50, seed=3)
    copies = np.repeat(np.arange(50), 10)
    alone = fit_calibration(judged[copies], [votes[i] for i in copies], [f"prompt {i}" for i in copies])
    assert alone.prompts == 50
    assert alone.candidate("dirichlet").gain < alone.candidate("dirichlet").gain_error


def test_without_ties_temperature_is_all_there_is() -> None:
    judged, votes, prompts = simulated(KNOWN["temperature"], 3000)
    kept = [i for i, vote in enumerate(votes) if vote != TIE]
    rows = judged[kept]
    rows[..., 2] = 0  # as Bradley and Terry's model says
    rows /= rows.sum(axis=2, keepdims=True)
    calibration = fit_calibration(rows, [votes[i] for i in kept], [prompts[i] for i in kept])
    assert [candidate.method for candidate in calibration.candidates] == ["none", "temperature"]
    assert isinstance(calibration.map, Temperature)
    assert calibration.map.temperature == pytest.approx(1.7, rel=0.1)
    assert (calibration.apply(rows[:, 0])[:, 2] == 0).all()
    with pytest.raises(DataError, match="votes for an outcome to which the judge gives no probability"):
        fit_calibration(np.repeat(rows[:100], 2, axis=0), [*[A_WINS] * 180, *[TIE] * 20], [str(i) for i in range(200)])


def test_it_survives_json() -> None:
    judged, votes, prompts = simulated(KNOWN["vector"], 3000)
    calibration = fit_calibration(judged, votes, prompts)
    again = Calibration.model_validate_json(calibration.model_dump_json())
    assert again == calibration
    np.testing.assert_array_equal(again.apply(judged[:, 0]), calibration.apply(judged[:, 0]))
    adapter: TypeAdapter[CalibrationMap] = TypeAdapter(CalibrationMap)
    for mapped in (Identity(), *KNOWN.values()):
        assert adapter.validate_json(mapped.model_dump_json()) == mapped
    assert {kind.model_fields["method"].default for kind in (Identity, *map(type, KNOWN.values()))} == set(
        get_args(Method)
    )


def test_a_judge_that_is_always_right_and_one_that_knows_nothing_stay_finite() -> None:
    votes = [A_WINS, B_WINS, TIE] * 60
    sure = np.array(votes) * (1 - 3e-20) + 1e-20
    for method in ("temperature", "vector", "dirichlet"):
        calibrated = fit_map(method, sure, votes).apply(sure)
        assert np.isfinite(calibrated).all()
        wrong = np.roll(np.array(votes), 1, axis=0)
        assert cross_entropies(fit_map(method, sure, wrong).apply(sure), wrong.tolist()).mean() < 2


@pytest.mark.parametrize(
    ("votes", "prompts", "message"),
    [
        (
            [A_WINS, B_WINS, TIE] * 33,
            99,
            r"^cal\.csv: 99 rows are too few .* \(at least 100\)\. Raise it\.$",
        ),
        ([A_WINS] * 191 + [TIE] * 9, 200, r"9 ties in 200 votes are too few .*at least 10, or none"),
        (
            [A_WINS] * 9 + [TIE] * 191,
            200,
            r"9 votes for an answer in 200 votes are too few .*at least 10",
        ),
        ([A_WINS, TIE] * 60, 4, r"4 prompts in 120 rows are too few to calibrate on \(at least 5\)"),
    ],
)
def test_too_few_rows_are_refused(votes: list[Vote], prompts: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_calibration_votes(votes, [str(i % prompts) for i in range(len(votes))], "cal.csv", "Raise it.")


def test_shapes_that_do_not_go_together_are_refused() -> None:
    judged, votes, prompts = simulated(Identity(), 120)
    with pytest.raises(ValueError, match=r"shape \(120, 3\) and 120 prompts do not match 120 votes"):
        fit_calibration(judged[:, 0], votes, prompts)
