"""What a step of a pointwise head learns: the exact mean over comparisons, whatever shares a pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.models.conftest import make_pair, padded_logits
from tests.unit.training.conftest import VOTES, gradients
from tiebreak.models import add_adapter, judge_head, lora_config
from tiebreak.models.heads import RewardHead, vote_logits
from tiebreak.ranking import TieModel
from tiebreak.training import Example

TIE = 0.4


def reward_model(tie_model: TieModel = "davidson", *, eager: bool = False) -> torch.nn.Module:
    model = make_pair("gemma2", num_labels=1)[0 if eager else 1]
    plain = model.score
    model.score = RewardHead(plain.in_features, tie_model, TIE)
    model.score.load_state_dict(plain.state_dict(), strict=False)
    torch.manual_seed(1)
    adapted = add_adapter(model, lora_config(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return adapted


def reward_examples(rows: int, *, seed: int = 0, votes: Any = VOTES, margin: float = 0.0) -> list[Example]:
    rng = np.random.default_rng(seed)
    examples = []
    for i in range(rows):
        prompt = rng.integers(1, 97, size=int(rng.integers(3, 12))).astype(np.int32)
        a, b = (
            np.concatenate([prompt, rng.integers(1, 97, size=int(rng.integers(2, 12))).astype(np.int32)])
            for _ in range(2)
        )
        examples.append(Example((a, b), (votes[i % len(votes)],), margin))
    return examples


def one_step(trainer: Any, examples: list[Example]) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.zero_grad()
    loss = trainer.training_step(trainer.model, {"examples": examples})
    return float(loss), gradients(trainer.model)


def plain_loss(model: Any, examples: list[Example], *, centering: float = 0.0) -> torch.Tensor:
    """The same from separate, padded sequences and transformers' own attention and pooling."""
    rewards = padded_logits(model, [ids for e in examples for ids in e.sequences]).view(-1, 2)
    votes = torch.tensor([e.votes[0] for e in examples])
    shifted = rewards - torch.tensor([[e.margin] for e in examples]) * votes[:, :2]
    logits = vote_logits(judge_head(model), shifted[..., None])
    loss = -(votes * logits.log_softmax(-1).masked_fill(votes == 0, 0)).sum(-1).mean()
    return loss + centering * (rewards.sum(-1) ** 2).mean()


@pytest.mark.parametrize("tie_model", ["davidson", "rao-kupper"])
def test_the_step_equals_that_of_separate_padded_sequences(make_trainer: Any, tie_model: TieModel) -> None:
    examples = reward_examples(9)
    eager = reward_model(tie_model, eager=True).train()
    wanted_loss = plain_loss(eager, examples)
    wanted_loss.backward()
    wanted = gradients(eager)
    for tokens in (45, 64, 10_000):
        trainer = make_trainer(examples, model=reward_model(tie_model), tokens_per_pass=tokens)
        loss, got = one_step(trainer, examples)
        assert loss == pytest.approx(float(wanted_loss), abs=1e-5)
        assert got.keys() == wanted.keys()
        assert any(name.endswith("tie_parameter") for name in got)
        for name, gradient in wanted.items():
            torch.testing.assert_close(got[name], gradient, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_centring_adds_its_gradient_but_not_to_the_loss_that_is_told(make_trainer: Any) -> None:
    examples = reward_examples(6, margin=0.4)
    eager = reward_model(eager=True).train()
    plain_loss(eager, examples, centering=0.3).backward()
    trainer = make_trainer(examples, model=reward_model(), center_rewards_coefficient=0.3)
    loss, got = one_step(trainer, examples)
    assert loss == pytest.approx(float(plain_loss(eager, examples)), abs=1e-5)
    for name, gradient in gradients(eager).items():
        torch.testing.assert_close(got[name], gradient, atol=1e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


def test_votes_without_ties_and_their_margins_are_bradley_and_terry_s(make_trainer: Any) -> None:
    """-log sigmoid(r_winner - r_loser - margin), as Llama 2 has it."""
    examples = reward_examples(6, votes=VOTES[:2], margin=0.7)
    eager = reward_model("bradley-terry", eager=True)
    with torch.no_grad():
        r = padded_logits(eager, [ids for e in examples for ids in e.sequences]).view(-1, 2)
    gap = torch.stack([row[0] - row[1] if e.votes[0][0] else row[1] - row[0] for row, e in zip(r, examples)])  # noqa: B905
    wanted = -torch.nn.functional.logsigmoid(gap - 0.7).mean()
    loss, got = one_step(make_trainer(examples, model=reward_model("bradley-terry")), examples)
    assert loss == pytest.approx(float(wanted), abs=1e-5)
    assert all(gradient.isfinite().all() for gradient in got.values())
    without, _ = one_step(
        make_trainer(examples, model=reward_model("bradley-terry")), reward_examples(6, votes=VOTES[:2])
    )
    assert without < loss


def test_swapping_every_comparison_changes_no_gradient(make_trainer: Any) -> None:
    examples = reward_examples(7)
    swapped = [Example(e.sequences[::-1], ((e.votes[0][1], e.votes[0][0], e.votes[0][2]),)) for e in examples]
    loss, wanted = one_step(make_trainer(examples, model=reward_model()), examples)
    other_loss, got = one_step(make_trainer(swapped, model=reward_model()), swapped)
    assert other_loss == pytest.approx(loss, rel=1e-6)
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-5)


def test_the_tie_parameter_has_a_rate_of_its_own_and_no_decay(make_trainer: Any) -> None:
    examples = reward_examples(4)
    trainer = make_trainer(
        examples, model=reward_model(), batch_size=4, max_steps=1, learning_rate=1e-3, weight_decay=0.5, warmup_steps=0
    )
    trainer.train()
    head = judge_head(trainer.model)
    assert isinstance(head, RewardHead)
    assert head.tie_parameter is not None
    # Adam's first step is the rate itself, whatever the gradient.
    assert abs(float(head.tie_parameter.detach()) - TIE) == pytest.approx(0.1, rel=1e-3)
    [group] = [g for g in trainer.optimizer.param_groups if any(p is head.tie_parameter for p in g["params"])]
    assert group["weight_decay"] == 0
    assert len(group["params"]) == 1


def test_outputs_and_probabilities_of_the_validation(make_trainer: Any) -> None:
    examples = reward_examples(5)
    trainer = make_trainer(examples, model=reward_model(), tokens_per_pass=50)
    outputs = trainer.outputs(examples)
    assert outputs.shape == (5, 2, 1)
    eager = reward_model(eager=True).eval()
    with torch.no_grad():
        rewards = padded_logits(eager, [ids for e in examples for ids in e.sequences]).view(5, 2, 1)
        wanted = vote_logits(judge_head(eager), rewards).softmax(-1)
    np.testing.assert_allclose(outputs, rewards, atol=1e-5)
    np.testing.assert_allclose(trainer.judge(examples), wanted, atol=1e-5)
