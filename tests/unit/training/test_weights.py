"""A step learns from the weighted mean over its comparisons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.unit.training.conftest import gradients, make_examples
from tests.unit.training.test_reward_trainer import reward_examples, reward_model
from tiebreak.metrics import preference_metrics
from tiebreak.ranking import tie_parameter_of
from tiebreak.recipe import DataSection
from tiebreak.training import Example
from tiebreak.training.batches import digest_of
from tiebreak.training.model_setup import _initial_tie_parameter
from tiebreak.types import A_WINS, TIE, Comparison

COUNTS = (2, 1, 3, 1, 4)


def one_step(trainer: Any, examples: list[Example]) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.zero_grad()
    loss = trainer.training_step(trainer.model, {"examples": examples})
    return float(loss), gradients(trainer.model)


def setups(kind: str) -> tuple[list[Example], dict[str, Any]]:
    """Examples, and the settings of a trainer for them."""
    if kind == "pairwise":
        return make_examples(len(COUNTS), both_orders=True), {}
    if kind == "davidson":
        return reward_examples(len(COUNTS)), {"model": reward_model(), "center_rewards_coefficient": 0.3}
    examples = reward_examples(len(COUNTS), votes=[A_WINS], margin=0.4)
    return examples, {"model": reward_model("bradley-terry")}


def assert_same(got: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert got.keys() == wanted.keys()
    assert len(wanted) > 20
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("kind", ["pairwise", "davidson", "bradley-terry"])
@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_a_weight_of_k_equals_k_copies_whatever_the_passes(make_trainer: Any, kind: str, scale: float) -> None:
    examples, settings = setups(kind)
    weighted = [replace(e, weight=k * scale) for e, k in zip(examples, COUNTS, strict=True)]
    copies = [e for e, k in zip(examples, COUNTS, strict=True) for _ in range(k)]
    loss, wanted = one_step(make_trainer(copies, tokens_per_pass=10_000, **settings), copies)
    for tokens in (64, 10_000):
        other_loss, got = one_step(make_trainer(weighted, tokens_per_pass=tokens, **settings), weighted)
        assert other_loss == pytest.approx(loss, rel=1e-6)
        assert_same(got, wanted)


def test_two_processes_share_the_weighted_mean(make_trainer: Any) -> None:
    """The parts of two processes, one of which has most of the weight, add up to the step of one."""
    examples = [replace(e, weight=w) for e, w in zip(make_examples(5), (0.1, 5.0, 0.2, 7.0, 0.0), strict=True)]
    trainer = make_trainer(examples)
    loss, wanted = one_step(trainer, examples)
    trainer.model.zero_grad()
    total = sum(e.weight for e in examples)
    parts = [
        trainer._accumulate(examples[rank::2], total_weight=total, tokens_per_pass=64) for rank in (0, 1)
    ]  # fmt: skip
    assert float(sum(parts)) == pytest.approx(loss, rel=1e-6)
    assert_same(gradients(trainer.model), wanted)


@pytest.mark.parametrize("kind", ["pairwise", "davidson", "bradley-terry"])
def test_rows_of_weight_0_have_no_gradient_and_a_step_of_them_is_no_nan(make_trainer: Any, kind: str) -> None:
    examples, settings = setups(kind)
    trainer = make_trainer(examples, tokens_per_pass=10_000, **settings)
    loss, wanted = one_step(trainer, examples[:3])
    other_loss, got = one_step(trainer, examples[:3] + [replace(e, weight=0.0) for e in examples[3:]])
    assert other_loss == pytest.approx(loss, rel=1e-6)
    assert_same(got, wanted)
    nothing, none = one_step(trainer, [replace(e, weight=0.0) for e in examples])
    assert nothing == 0
    assert all((gradient == 0).all() for gradient in none.values())


def test_validation_is_weighted_and_the_digest_knows_weights(make_trainer: Any) -> None:
    examples = make_examples(8)
    weighted = [replace(e, weight=w) for e, w in zip(examples, (1, 0, 2, 3, 1, 1, 0.5, 0), strict=True)]
    trainer = make_trainer(weighted)
    votes = [e.votes[0] for e in weighted]
    wanted = preference_metrics(trainer.judge(weighted), votes, [e.weight for e in weighted])
    found = trainer.evaluate()
    assert {name: found[f"eval_{name}"] for name in wanted} == wanted
    assert digest_of(weighted) != digest_of(examples)
    assert digest_of([replace(e, weight=1.0) for e in weighted]) == digest_of(examples)


def test_the_first_tie_parameter_is_that_of_copies() -> None:
    row = Comparison(("p",), ("a",), ("b",), A_WINS)
    rows = [replace(row, weight=3.0), replace(row, vote=TIE, weight=2.0), replace(row, weight=0.0)]
    assert _initial_tie_parameter(rows) == pytest.approx(tie_parameter_of(2.5 / 6))
    assert _initial_tie_parameter(rows) == _initial_tie_parameter([row] * 3 + [replace(row, vote=TIE)] * 2)


def test_training_rows_of_weight_0_are_left_out_and_validation_rows_stay(tmp_path: Any) -> None:
    from tiebreak.data import write_comparisons
    from tiebreak.errors import DataError
    from tiebreak.training.splits import split_votes

    weights = (0.0, 2.0, 1.0, 0.0, 1.0)
    rows = [Comparison((f"p {i}",), ("a",), ("b",), A_WINS, str(i), weight=w) for i, w in enumerate(weights)]
    write_comparisons(tmp_path / "v.csv", rows)
    notes: list[str] = []
    settings = DataSection(train=tmp_path / "v.csv", validation=tmp_path / "v.csv")
    votes = split_votes(settings, notes.append)
    assert [row.id for row in votes.training] == ["1", "2", "4"]
    assert votes.validation == rows
    assert notes == [
        "2 of 5 training rows have weight 0: left out.",
        "3 training rows with weights: weights sum to 4 and count as 2.7 rows of equal weight.",
    ]
    write_comparisons(tmp_path / "zero.csv", [replace(row, weight=0.0) for row in rows])
    for name, data in (
        ("training", {"train": tmp_path / "zero.csv", "validation": tmp_path / "v.csv"}),
        ("validation", {"train": tmp_path / "v.csv", "validation": tmp_path / "zero.csv"}),
    ):
        with pytest.raises(DataError, match=f"All 5 {name} rows have weight 0: give weights above 0"):
            split_votes(DataSection(**data), notes.append)
