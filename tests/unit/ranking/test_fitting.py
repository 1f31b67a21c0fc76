"""Rewards found again from votes simulated with known ones, and what must not change them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from tiebreak.errors import ComparisonsError, DataError
from tiebreak.ranking import TieModel, fit_rewards, outcome_logits
from tiebreak.types import A_WINS, B_WINS, TIE

REWARDS = np.array([-1.7, -0.6, -0.1, 0.3, 0.7, 1.4])
ALL_PAIRS = np.array(list(combinations(range(len(REWARDS)), 2)))
NEARLY_NO_PRIOR = 1e-9

WITH_TIES: list[tuple[TieModel, float]] = [
    ("davidson", -0.4),
    ("davidson", 0.8),
    ("rao-kupper", -0.9),
    ("rao-kupper", 0.5),
]


def model_probabilities(rewards: np.ndarray, pairs: np.ndarray, model: TieModel, tie: float) -> np.ndarray:
    return softmax(outcome_logits(rewards[pairs[:, 0]], rewards[pairs[:, 1]], model, tie), axis=-1)


def standard_errors(rewards: np.ndarray, pairs: np.ndarray, model: TieModel, tie: float, votes: int) -> np.ndarray:
    """Asymptotic, of the rewards (under mean 0) and the tie parameter, by the expected Fisher information.

    Its scores are finite differences of `outcome_logits`: nothing of the fit's own gradient is used.
    """
    at = np.append(rewards, tie)
    step = 1e-5

    def log_p(unknowns: np.ndarray) -> np.ndarray:
        return np.log(model_probabilities(unknowns[:-1], pairs, model, float(unknowns[-1])))

    scores = np.stack([(log_p(at + step * e) - log_p(at - step * e)) / (2 * step) for e in np.eye(len(at))])
    information = votes * np.einsum("upo,po,vpo->uv", scores, np.exp(log_p(at)), scores)
    # The one direction without information is the rewards' common shift, which the mean of 0 takes out.
    return np.sqrt(np.diag(np.linalg.pinv(information, rcond=1e-6, hermitian=True)))


@pytest.mark.parametrize(("model", "tie"), WITH_TIES)
def test_rewards_and_ties_are_found_again_from_votes(model: TieModel, tie: float) -> None:
    votes = 2000
    p = model_probabilities(REWARDS, ALL_PAIRS, model, tie)
    counts = np.random.default_rng(1).multinomial(votes, p)
    pairs, outcomes = np.repeat(ALL_PAIRS, 3, axis=0), np.tile(np.eye(3), (len(ALL_PAIRS), 1))
    each_vote = np.repeat(np.arange(len(pairs)), counts.ravel())
    fitted = fit_rewards(len(REWARDS), pairs[each_vote], outcomes[each_vote], tie_model=model)
    errors = standard_errors(REWARDS, ALL_PAIRS, model, tie, votes)
    assert errors.max() < 0.05  # of a range of 3 nats
    misses = (np.append(fitted.rewards, fitted.tie_parameter) - np.append(REWARDS, tie)) / errors
    assert np.abs(misses).max() < 4
    # Seven estimates all within a hundredth of a standard error would be no estimates from votes.
    assert np.abs(misses).max() > 0.01


@pytest.mark.parametrize(("model", "tie"), [*WITH_TIES, ("bradley-terry", 0.0)])
def test_the_model_s_own_probabilities_give_its_rewards(model: TieModel, tie: float) -> None:
    p = model_probabilities(REWARDS, ALL_PAIRS, model, tie)
    fitted = fit_rewards(len(REWARDS), ALL_PAIRS, p, tie_model=model, ridge=NEARLY_NO_PRIOR)
    np.testing.assert_allclose(fitted.rewards, REWARDS, atol=1e-4)
    assert fitted.tie_parameter == pytest.approx(tie, abs=1e-4)
    known = fit_rewards(len(REWARDS), ALL_PAIRS, p, tie_model=model, tie_parameter=tie, ridge=NEARLY_NO_PRIOR)
    np.testing.assert_allclose(known.rewards, REWARDS, atol=1e-4)
    assert known.tie_parameter == tie


def test_what_rounding_leaves_of_a_tie_is_none() -> None:
    almost = fit_rewards(2, [(0, 1)], [(0.75, 0.25 - 1e-9, 1e-9)], tie_model="bradley-terry", ridge=NEARLY_NO_PRIOR)
    np.testing.assert_allclose(almost.rewards, [np.log(3) / 2, -np.log(3) / 2], atol=1e-6)


def test_two_answers_by_hand() -> None:
    # Bradley and Terry: three wins of four are a gap of log 3; Davidson: nu = ties / sqrt(wins * losses).
    won = fit_rewards(2, [(0, 1)], [(0.75, 0.25, 0)], tie_model="bradley-terry", ridge=NEARLY_NO_PRIOR)
    np.testing.assert_allclose(won.rewards, [np.log(3) / 2, -np.log(3) / 2], atol=1e-6)
    tied = fit_rewards(2, [(1, 0)], [(0.1, 0.4, 0.5)], ridge=NEARLY_NO_PRIOR)
    np.testing.assert_allclose(tied.rewards, [np.log(2), -np.log(2)], atol=1e-6)
    assert tied.tie_parameter == pytest.approx(np.log(0.5 / 0.2), abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["davidson", "rao-kupper"]))
def test_neither_numbering_nor_sides_nor_order_matter(seed: int, model: TieModel) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(3, 9))
    chain = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    more = draw.integers(count, size=(12, 2))
    pairs = np.concatenate([chain, more[more[:, 0] != more[:, 1]]])
    votes = draw.dirichlet([0.5] * 3, size=len(pairs))
    fitted = fit_rewards(count, pairs, votes, tie_model=model)
    assert fitted.rewards.sum() == pytest.approx(0, abs=1e-12)

    renumbered, order = draw.permutation(count), draw.permutation(len(pairs))
    turned = draw.random(len(pairs)) < 0.5
    other_pairs = np.where(turned[:, None], pairs[:, ::-1], pairs)
    other_votes = np.where(turned[:, None], votes[:, [1, 0, 2]], votes)
    other = fit_rewards(count, renumbered[other_pairs][order], other_votes[order], tie_model=model)
    np.testing.assert_allclose(other.rewards[renumbered], fitted.rewards, atol=1e-5)
    assert other.tie_parameter == pytest.approx(fitted.tie_parameter, abs=1e-5)


def test_a_share_of_the_votes_is_a_soft_vote() -> None:
    votes = [A_WINS, A_WINS, TIE, B_WINS]
    # Four times the votes against four times the prior.
    split = fit_rewards(2, [(0, 1)] * 4, votes, ridge=0.4)
    shared = fit_rewards(2, [(0, 1)], [np.mean(votes, axis=0)], ridge=0.1)
    np.testing.assert_allclose(split.rewards, shared.rewards, atol=1e-7)
    assert split.tie_parameter == pytest.approx(shared.tie_parameter, abs=1e-7)


def test_what_a_softmax_leaves_of_a_tie_does_not_stop_bradley_and_terry() -> None:
    exact = fit_rewards(2, [(0, 1)], [(0.75, 0.25, 0.0)], tie_model="bradley-terry")
    nearly = fit_rewards(2, [(0, 1)], [(0.75, 0.25, 1e-9)], tie_model="bradley-terry")
    np.testing.assert_allclose(nearly.rewards, exact.rewards, atol=1e-7)
    assert exact.rewards[0] > 0.5


@pytest.mark.parametrize("model", ["davidson", "rao-kupper", "bradley-terry"])
def test_an_answer_that_won_everything_stays_finite_and_the_rest_where_they_were(model: TieModel) -> None:
    tie = -0.4
    p = model_probabilities(REWARDS, ALL_PAIRS, model, tie)
    free = fit_rewards(len(REWARDS), ALL_PAIRS, p, tie_model=model, ridge=NEARLY_NO_PRIOR)
    held = fit_rewards(len(REWARDS), ALL_PAIRS, p, tie_model=model)
    np.testing.assert_allclose(held.rewards, free.rewards, atol=0.05)

    newcomer = len(REWARDS)
    pairs = np.concatenate([ALL_PAIRS, [(newcomer, i) for i in range(newcomer)]])
    won = fit_rewards(newcomer + 1, pairs, [*p, *[A_WINS] * newcomer], tie_model=model)
    assert won.rewards[newcomer] - won.rewards[:newcomer].max() > 2
    assert np.abs(won.rewards).max() < 10
    rest = won.rewards[:newcomer] - won.rewards[:newcomer].mean()
    np.testing.assert_allclose(rest, free.rewards, atol=0.2)


@pytest.mark.parametrize("vote", [A_WINS, TIE])
@pytest.mark.parametrize("model", ["davidson", "rao-kupper"])
def test_votes_of_one_kind_alone_leave_everything_finite(model: TieModel, vote: tuple[float, float, float]) -> None:
    fitted = fit_rewards(6, ALL_PAIRS, [vote] * len(ALL_PAIRS), tie_model=model)
    assert np.abs(fitted.rewards).max() < 20
    assert (3 if vote == TIE else -20) < fitted.tie_parameter < (20 if vote == TIE else -2)
    if vote == TIE:
        np.testing.assert_allclose(fitted.rewards, 0, atol=1e-6)
    else:
        assert (np.diff(fitted.rewards) < 0).all()  # in all pairs the smaller number won


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": [], "probabilities": []}, "no comparisons"),
        ({"pairs": [(0, 1, 2)]}, r"shape \(1, 3\)"),
        ({"pairs": [(0.0, 1.0)]}, "float64"),
        (
            {"pairs": [(0, 1), (1, 3), (0, 2)]},
            "Comparison 1 is between answers 1 and 3, but .* from 0 to 2",
        ),
        ({"pairs": [(0, 1), (1, -1), (0, 2)]}, "Comparison 1 is between answers 1 and -1"),
        ({"pairs": [(0, 1), (1, 2), (2, 2)]}, "Comparison 2 is between answer 2 and itself"),
        ({"probabilities": [A_WINS, TIE]}, r"shape \(2, 3\) for 3 pairs"),
        ({"probabilities": [A_WINS, TIE, (0.5, 0.2, 0.2)]}, r"Comparison 2 has .*\[0.5, 0.2, 0.2\], which sum to 0.9"),
        ({"probabilities": [A_WINS, (float("nan"), 0, 1), TIE]}, "Comparison 1 has .* finite"),
        ({"probabilities": [(1.5, -0.5, 0), TIE, TIE]}, "Comparison 0 has .* at least 0"),
        ({"tie_model": "bradley-terry"}, "Comparison 1 has a probability of 1 for a tie, .* half of the tie"),
        ({"ridge": 0}, "ridge is 0"),
        ({"ridge": float("nan")}, "ridge is nan"),
        ({"tie_parameter": float("inf")}, "tie_parameter is inf"),
        ({"count": 5}, r"3 groups .*not linked: 0, 1, 2 \| 3 \| 4. .*such as 0 and 3"),
    ],
)
def test_what_makes_no_rewards_is_refused(change: dict[str, Any], message: str) -> None:
    right: dict[str, Any] = {"count": 3, "pairs": [(0, 1), (1, 2), (0, 2)], "probabilities": [A_WINS, TIE, B_WINS]}
    fit_rewards(**right)
    with pytest.raises(ComparisonsError, match=message) as caught:
        fit_rewards(**(right | change))
    assert isinstance(caught.value, DataError)
    assert isinstance(caught.value, ValueError)


def test_many_unlinked_answers_are_not_all_listed() -> None:
    pairs = [(i, i + 1) for i in range(0, 40, 2)]
    with pytest.raises(ComparisonsError, match=r"20 groups .*14, 15 \| and 12 more"):
        fit_rewards(40, pairs, [TIE] * 20)
