"""Plans compared with measured runs, and on several GPUs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from perf.speed import SEED_TARGETS, lengths

from tiebreak.data import arithmetic_comparisons, write_comparisons
from tiebreak.errors import ModelError, RecipeError
from tiebreak.recipe import load_recipe
from tiebreak.training.batches import Example
from tiebreak.training.cost_model import GIB, GPUS, Shape, memory_lines, seconds_per_pass, seconds_per_token
from tiebreak.training.plan import _tokens, make_plan, plan_run

RECORD = json.loads(Path("perf/results/speed.json").read_text())["results"]
NINE_B = SimpleNamespace(
    hidden_size=3584, num_hidden_layers=42, intermediate_size=14336, num_attention_heads=16, num_key_value_heads=8,
    head_dim=256, vocab_size=256_000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("run", "precision", "tokens", "checkpointed", "targets", "r"),
    [
        ("train-nf4-8192", "nf4", 8192, False, SEED_TARGETS, 16),
        ("train-nf4-16384", "nf4", 16384, False, SEED_TARGETS, 16),
        ("train-nf4-checkpointed-8192", "nf4", 8192, True, SEED_TARGETS, 16),
        ("train-all-linear-nf4", "nf4", 16384, False, "all-linear", 64),
        ("train-fp8-8192", "fp8", 8192, False, SEED_TARGETS, 16),
        ("train-fp8-checkpointed-8192", "fp8", 8192, True, SEED_TARGETS, 16),
        ("train-all-linear-fp8", "fp8", 16384, False, "all-linear", 64),
    ],
)
def test_memory_and_rate_are_those_measured(
    run: str, precision: Any, tokens: int, checkpointed: bool, targets: Any, r: int
) -> None:
    shape = Shape.of(NINE_B, r=r, target_modules=targets)
    line = memory_lines(shape, precision)[checkpointed]
    assert (line.fixed + tokens * line.rate) / GIB == pytest.approx(RECORD[run]["peak_gib"], rel=0.15)
    card, share = GPUS["h200"], float(checkpointed)
    token = seconds_per_token(shape, precision, card, lengths(96), training=True, checkpointed=share)
    price = seconds_per_pass(shape, precision, card, training=True, checkpointed=share)
    assert 1 / (token + price / tokens) == pytest.approx(RECORD[run]["tokens_per_second"], rel=0.15)


@pytest.mark.parametrize(("run", "precision"), [("score-nf4-adapter-16384", "nf4"), ("score-fp8-adapter-16384", "fp8")])
def test_scoring_is_as_fast_as_measured(run: str, precision: Any) -> None:
    shape, card = Shape.of(NINE_B, r=16, target_modules=SEED_TARGETS), GPUS["h200"]
    token = seconds_per_token(shape, precision, card, lengths(96), training=False)
    price = seconds_per_pass(shape, precision, card, training=False)
    assert 1 / (token + price / 16384) == pytest.approx(RECORD[run]["tokens_per_second"], rel=0.15)


def test_the_seeds_run_takes_the_time_it_took() -> None:
    measured = json.loads(Path("perf/results/seed_experiment.json").read_text())
    steps = [[480] * 5] * 100  # 239 thousand tokens in 500 comparisons
    plan = make_plan(
        Shape.of(NINE_B, r=16, target_modules=SEED_TARGETS), "nf4", GPUS["h200"], step_lengths=steps,
        validation_lengths=[372] * 50, epochs=2, evaluations=10, tokens="auto", checkpointing="auto",
    )  # fmt: skip
    took = measured["training_seconds"] - measured["validation_seconds"]
    assert plan.training_seconds == pytest.approx(took, rel=0.15)


def test_a_card_too_small_is_told_from_one_that_will_do() -> None:
    recipe = load_recipe("gemma2-9b-qlora", ["data.train_rows=200", "text.max_length=1024"])
    log: list[str] = []
    large, small = plan_run(recipe, GPUS["h200"], log.append), plan_run(recipe, GPUS["l4"], log.append)
    assert large.fits
    assert large.budget.checkpointed == 0
    assert small.fits
    assert small.peak_bytes < 22.5 * GIB
    assert small.training_seconds > 5 * large.training_seconds
    assert "assuming 200 comparisons with the lengths of LMSYS's votes" in log[0]
    whole = load_recipe("gemma2-9b-qlora", ["model.precision=bf16", "data.train_rows=50"])
    assert not plan_run(whole, GPUS["t4"], log.append).fits


def test_a_prompt_shared_by_both_orders_is_counted_once() -> None:
    prompt, a, b = np.arange(3, 203), np.arange(300, 310), np.arange(400, 420)
    orders = tuple(np.concatenate(parts).astype(np.int32) for parts in ((prompt, a, b), (prompt, b, a)))
    assert _tokens(Example(orders, ((1, 0, 0), (0, 1, 0)))) == [230, 30]
    assert _tokens(Example(orders[:1], ((1, 0, 0),))) == [230]


def test_layers_that_are_not_adapted_cost_no_memory_and_no_backward_pass() -> None:
    whole = Shape.of(NINE_B, r=16, target_modules=["q_proj", "k_proj", "v_proj"])
    upper = Shape.of(NINE_B, r=16, target_modules=["q_proj", "k_proj", "v_proj"], adapted_layers=range(16, 42))
    assert whole.adapted == 12_730_368
    assert upper.adapted == 7_880_704  # what PEFT makes of it
    assert memory_lines(upper, "nf4")[0].rate == pytest.approx(memory_lines(whole, "nf4")[0].rate * 26 / 42)
    times = [seconds_per_token(s, "nf4", GPUS["h200"], [640], training=True) for s in (upper, whole)]
    assert 0.7 < times[0] / times[1] < 0.85


def test_what_cannot_run_or_cannot_be_planned_is_refused() -> None:
    with pytest.raises(RecipeError, match="fp8 needs a GPU of the Ada or Hopper generation"):
        plan_run(load_recipe("gemma2-9b-qlora", ["model.precision=fp8"]), GPUS["a100"], print)
    with pytest.raises(ModelError, match="A gpt2 cannot be planned: its configuration has no intermediate_size"):
        Shape.of(SimpleNamespace(**(vars(NINE_B) | {"model_type": "gpt2", "intermediate_size": None})), r=1,
                 target_modules="all-linear")  # fmt: skip


def test_rows_are_split_as_training_splits_them(tmp_path: Path) -> None:
    votes = arithmetic_comparisons(200, seed=0, split="train")
    write_comparisons(tmp_path / "votes.csv", votes)
    write_comparisons(tmp_path / "held.csv", votes[:40])
    given = [
        "model.name=nano",
        "text.max_length=1024",
        f"data.train={tmp_path / 'votes.csv'}",
        "training.batch_size=10",
    ]

    def planned(*more: str) -> tuple[float, float]:
        plan = plan_run(load_recipe("gemma2-9b-qlora", [*given, *more]), GPUS["h200"], print)
        return plan.training_seconds, plan.validation_seconds

    whole, whole_validation = planned(f"data.validation={tmp_path / 'held.csv'}", "training.num_train_epochs=2")
    split, split_validation = planned("data.validation_share=0.5", "training.num_train_epochs=2")
    assert split == pytest.approx(whole / 2, rel=0.1)
    assert split_validation == pytest.approx(whole_validation * 100 / 40, rel=0.1)
    held_out = (f"data.validation={tmp_path / 'held.csv'}", "training.num_train_epochs=2")
    apart, _ = planned(*held_out, "data.calibration_share=0.5")
    assert apart == pytest.approx(whole / 2, rel=0.1)
