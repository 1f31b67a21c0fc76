"""The tie models against their published likelihoods, and what must hold for all of them."""

from __future__ import annotations

from fractions import Fraction
from math import log, log1p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from tiebreak.ranking.tie_models import TieModel, log_probability_gradients, outcome_logits

MODELS: tuple[TieModel, ...] = ("davidson", "rao-kupper", "bradley-terry")

models = st.sampled_from(MODELS)
rewards = st.floats(-1000, 1000)
near = st.floats(-8, 8)
ties = st.floats(-5, 5)


def probabilities(a: float, b: float, model: TieModel, tie: float) -> np.ndarray:
    return softmax(outcome_logits([a], [b], model, tie), axis=-1)[0]


def test_davidson_is_its_paper_s_ratio() -> None:
    # Worths 4 and 1 and nu = 3/2: 4 : 1 : 3/2 sqrt(4 * 1), that is 4 : 1 : 3.
    np.testing.assert_allclose(probabilities(log(4), 0, "davidson", log(1.5)), [4 / 8, 1 / 8, 3 / 8], rtol=1e-14)


def test_rao_and_kupper_is_their_paper_s_ratio() -> None:
    # Worths 4 and 1 and theta = 3, exactly: 4/(4 + 3), 1/(1 + 12), (9 - 1) 4 / ((4 + 3) (1 + 12)).
    exact = [Fraction(4, 7), Fraction(1, 13), Fraction(32, 91)]
    assert sum(exact) == 1
    # theta = 1 + e^t.
    shown = probabilities(log(4), 0, "rao-kupper", log(2))
    np.testing.assert_allclose(shown, [float(p) for p in exact], rtol=1e-14)
    # A wins where the gap exceeds the threshold eta = log 3 by more than a logistic error.
    assert shown[0] == pytest.approx(1 / (1 + np.exp(-log(4) + log(3))))


def test_bradley_and_terry_know_no_ties() -> None:
    np.testing.assert_allclose(probabilities(log(4), 0, "bradley-terry", 7.0), [0.8, 0.2, 0], rtol=1e-14)
    assert outcome_logits([1.0], [2.0], "bradley-terry", 7.0).tolist() == [[1.0, 2.0, -np.inf]]


@pytest.mark.parametrize("model", ["davidson", "rao-kupper"])
def test_at_tie_parameter_0_equals_win_lose_and_tie_alike(model: TieModel) -> None:
    np.testing.assert_allclose(probabilities(5, 5, model, 0.0), [1 / 3] * 3, rtol=1e-14)


@pytest.mark.parametrize("model", ["davidson", "rao-kupper"])
def test_without_ties_both_are_bradley_and_terry(model: TieModel) -> None:
    np.testing.assert_allclose(
        probabilities(1.5, 0.2, model, -60.0), probabilities(1.5, 0.2, "bradley-terry", 0.0), atol=1e-15
    )


@given(rewards, rewards, models, ties)
def test_rows_sum_to_1_at_any_rewards(a: float, b: float, model: TieModel, tie: float) -> None:
    logits = outcome_logits([a], [b], model, tie)
    assert not np.isnan(logits).any()
    p = softmax(logits, axis=-1)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    if model == "rao-kupper":
        # Log-probabilities as they are: the tie's closed form is what the wins leave.
        np.testing.assert_allclose(np.exp(logits), p, atol=1e-12)


@given(rewards, rewards, models, ties)
def test_exchanging_the_rewards_exchanges_the_outcomes_to_the_last_bit(
    a: float, b: float, model: TieModel, tie: float
) -> None:
    swap_verdict = outcome_logits([b], [a], model, tie)
    np.testing.assert_array_equal(outcome_logits([a], [b], model, tie), swap_verdict[:, [1, 0, 2]])


@given(near, near, rewards, models, ties)
def test_probabilities_depend_on_the_gap_alone(a: float, b: float, shift: float, model: TieModel, tie: float) -> None:
    # Adding the shift rounds the rewards by up to 1e-13.
    np.testing.assert_allclose(
        probabilities(a + shift, b + shift, model, tie), probabilities(a, b, model, tie), atol=1e-12
    )


@given(st.lists(near, min_size=2, max_size=2, unique=True), near, models, ties)
def test_a_larger_gap_wins_more_and_loses_less(leads: list[float], b: float, model: TieModel, tie: float) -> None:
    less, more = (probabilities(b + lead, b, model, tie) for lead in sorted(leads))
    assert more[0] >= less[0] - 1e-14  # as little as float64 tells apart
    assert more[1] <= less[1] + 1e-14
    if abs(leads[0] - leads[1]) > 1e-3:
        assert more[0] > less[0]
        assert more[1] < less[1]


@given(near, near, st.sampled_from(["davidson", "rao-kupper"]), ties, st.floats(1e-3, 3))
def test_a_larger_tie_parameter_ties_more(a: float, b: float, model: TieModel, tie: float, more: float) -> None:
    assert probabilities(a, b, model, tie + more)[2] > probabilities(a, b, model, tie)[2]
    assert probabilities(a, a, model, tie)[2] > probabilities(a, a + 1, model, tie)[2]


@pytest.mark.parametrize("tie", [-1000.0, -40.0, 0.0, 40.0])
def test_rao_and_kupper_s_tie_keeps_its_digits_at_extremes(tie: float) -> None:
    # 2000 nats apart: P(B) = 1 / (1 + theta e^2000), and
    # P(tie) = (theta^2 - 1) e^2000 / ((e^2000 + theta) (1 + theta e^2000))
    # -> (theta - 1/theta) e^-2000, whose logarithm is t + log(2 + e^t) - log(1 + e^t) - 2000.
    log_a, log_b, log_tie = outcome_logits([1000.0], [-1000.0], "rao-kupper", tie)[0]
    assert log_a == pytest.approx(0, abs=1e-15)
    assert log_b == pytest.approx(-2000 - np.logaddexp(0, tie), rel=1e-15)
    assert log_tie == pytest.approx(tie + np.logaddexp(log(2), tie) - np.logaddexp(0, tie) - 2000, rel=1e-15)


def test_a_rare_tie_is_not_what_rounding_leaves_of_1() -> None:
    # theta = 1 + e^-40: P(tie) = (theta - 1) / (theta + 1) between equals, where 1 - P(A) - P(B) is 0 in float64.
    assert outcome_logits([3.0], [3.0], "rao-kupper", -40.0)[0, 2] == pytest.approx(-40 - log(2), rel=1e-15)
    assert outcome_logits([3.0], [3.0], "rao-kupper", -2.0)[0, 2] == pytest.approx(-2 - log(2) - log1p(np.exp(-2) / 2))


@given(near, near, models, ties)
def test_slopes_are_those_of_finite_differences(a: float, b: float, model: TieModel, tie: float) -> None:
    def log_p(gap: float, at: float) -> np.ndarray:
        return log_softmax(outcome_logits([gap], [0.0], model, at), axis=-1)

    by_gap, by_tie = log_probability_gradients(log_p(a - b, tie), model, tie)
    outcomes = slice(2 if model == "bradley-terry" else 3)  # no differences of -inf
    step = 1e-5
    for slopes, ahead, behind in (
        (by_gap, log_p(a - b + step, tie), log_p(a - b - step, tie)),
        (by_tie, log_p(a - b, tie + step), log_p(a - b, tie - step)),
    ):
        assert np.isfinite(slopes).all()
        measured = (ahead[:, outcomes] - behind[:, outcomes]) / (2 * step)
        np.testing.assert_allclose(slopes[:, outcomes], measured, atol=1e-8)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tie", [-1000.0, 1000.0])
def test_slopes_are_finite_at_extremes(model: TieModel, tie: float) -> None:
    with np.errstate(over="raise", invalid="raise"):
        log_p = log_softmax(outcome_logits([1e3, -1e3, 0.0], [-1e3, 1e3, 0.0], model, tie), axis=-1)
        for slopes in log_probability_gradients(log_p, model, tie):
            assert np.isfinite(slopes).all()


def test_an_unknown_model_is_not_taken_for_another() -> None:
    with pytest.raises(AssertionError, match="davison"):
        outcome_logits([1.0], [0.0], "davison", 0.0)
