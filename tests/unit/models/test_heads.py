"""The reward head: its logits are those of the tie models, and what it is fitted to is found again."""

from __future__ import annotations

import copy
from math import log
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from tiebreak.models.heads import RewardHead, texts_per_vote, vote_logits
from tiebreak.ranking import TieModel, outcome_logits

MODELS: tuple[TieModel, ...] = ("davidson", "rao-kupper", "bradley-terry")
rewards = st.floats(-30, 30, width=32)


@given(st.lists(st.tuples(rewards, rewards), min_size=1, max_size=5), st.sampled_from(MODELS), st.floats(-4, 4))
def test_logits_are_those_of_the_tie_model(pairs: list[tuple[float, float]], model: TieModel, tie: float) -> None:
    head = RewardHead(2, model, tie).double()
    shown = head.outcome_logits(torch.tensor(pairs, dtype=torch.float64)).log_softmax(-1).detach().numpy()
    a, b = np.array(pairs).T
    learned = 0.0 if head.tie_parameter is None else float(head.tie_parameter.detach())
    np.testing.assert_allclose(shown, log_softmax(outcome_logits(a, b, model, learned), axis=-1), atol=1e-12)
    swapped = head.outcome_logits(torch.tensor(pairs, dtype=torch.float64).flip(1))
    assert torch.equal(swapped[:, [1, 0, 2]], head.outcome_logits(torch.tensor(pairs, dtype=torch.float64)))


@pytest.mark.parametrize("model", ["davidson", "rao-kupper"])
def test_gradients_are_right(model: TieModel) -> None:
    head = RewardHead(2, model, 0.3).double()

    def logits(pairs: torch.Tensor, tie: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(head, {"tie_parameter": tie}, (pairs,))

    head.forward = head.outcome_logits  # type: ignore[method-assign]
    pairs = torch.tensor([[1.0, -0.5], [0.2, 0.2], [-3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(logits, (pairs, torch.tensor(0.3, dtype=torch.float64, requires_grad=True)))


@pytest.mark.parametrize("model", ["davidson", "rao-kupper"])
def test_simulated_votes_give_back_rewards_and_ties(model: Literal["davidson", "rao-kupper"]) -> None:
    """20,000 votes on answers with five features, whose worth is known, as is the share of ties."""
    rng = np.random.default_rng(0)
    worth, tie = np.array([1.0, -0.7, 0.4, 0.0, 0.2]), log(0.8)
    answers = rng.normal(size=(20_000, 2, 5))
    true = answers @ worth
    p = softmax(outcome_logits(true[:, 0], true[:, 1], model, tie), axis=-1)
    votes = np.array([rng.multinomial(1, row) for row in p])
    assert 0.15 < votes[:, 2].mean() < 0.3
    head = RewardHead(5, model, 0.0)
    x, y = torch.tensor(answers, dtype=torch.float32), torch.tensor(votes, dtype=torch.float32)
    optimiser = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = -(y * vote_logits(head, head(x)).log_softmax(-1)).sum(-1).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    # Standard errors are about 0.012 for a worth and 0.02 for the tie parameter.
    np.testing.assert_allclose(head.weight.detach()[0], worth, atol=0.05)
    assert head.tie_parameter is not None
    assert float(head.tie_parameter.detach()) == pytest.approx(tie, abs=0.08)


def test_a_reward_head_survives_a_copy() -> None:
    head = RewardHead(6, "rao-kupper", -0.4)
    assert texts_per_vote(head) == 2
    assert texts_per_vote(torch.nn.Linear(6, 3)) == 1
    again = copy.deepcopy(head)  # as PEFT does
    assert torch.equal(again.weight, head.weight)
    assert again.tie_parameter is not None
    assert float(again.tie_parameter.detach()) == pytest.approx(-0.4)
    assert again.tie_model == "rao-kupper"


def test_without_ties_there_is_nothing_to_learn_of_them() -> None:
    head = RewardHead(3, "bradley-terry", 1.0)
    assert [name for name, _ in head.named_parameters()] == ["weight"]
    logits = head.outcome_logits(torch.tensor([[1.0, 2.0]]))
    assert logits.softmax(-1)[0].tolist() == pytest.approx([1 / (1 + np.e), np.e / (1 + np.e), 0])
