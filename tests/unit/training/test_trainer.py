"""What a step learns: invariant to budget and packing, and equal to plain PEFT and Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from tests.unit.models.conftest import padded_logits
from tests.unit.training.conftest import adapted_model, gradients, make_examples
from tiebreak.errors import MemoryBudgetError
from tiebreak.models import TokenBudget
from tiebreak.training import Example
from tiebreak.training import trainer as trainer_module


def one_step(trainer: Any, examples: list[Example]) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.zero_grad()
    loss = trainer.training_step(trainer.model, {"examples": examples})
    return float(loss), gradients(trainer.model)


@pytest.mark.parametrize("both_orders", [False, True])
def test_three_budgets_give_the_same_gradient(make_trainer: Any, both_orders: bool) -> None:
    examples = make_examples(9, both_orders=both_orders)
    results = [one_step(make_trainer(examples, tokens_per_pass=n), examples) for n in (31, 64, 10_000)]
    (loss, wanted), *others = results
    assert len(wanted) > 20
    for other_loss, got in others:
        assert other_loss == pytest.approx(loss, rel=1e-6)
        assert got.keys() == wanted.keys()
        for name, gradient in wanted.items():
            torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-5)


def test_the_gradient_is_the_mean_over_comparisons(make_trainer: Any) -> None:
    """Each comparison counts once, however long it is and whether or not its two orders share a pass."""
    examples = make_examples(5, both_orders=True)
    trainer = make_trainer(examples)
    _, together = one_step(trainer, examples)
    alone = [one_step(trainer, [example])[1] for example in examples]
    for name, gradient in together.items():
        mean = torch.stack([g[name] for g in alone]).mean(dim=0)
        torch.testing.assert_close(gradient, mean, atol=1e-6, rtol=1e-5)


class PlainTrainer(Trainer):
    """transformers' own step on padded batches, with cross-entropy against soft votes."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        logits = padded_logits(model, inputs["sequences"])
        return -(inputs["votes"] * logits.log_softmax(-1)).sum(-1).mean()


class Losses(TrainerCallback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


def test_a_20_step_trajectory_equals_plain_peft_and_trainer(make_trainer: Any, tmp_path: Path) -> None:
    examples = make_examples(40)
    ours, theirs = Losses(), Losses()
    trainer = make_trainer(
        examples, batch_size=4, num_train_epochs=2, learning_rate=1e-2, logging_steps=1, save_steps=100, warmup_steps=3
    )
    trainer.add_callback(ours)
    trainer.train()

    batches = list(trainer._sampler)  # the sampler is at epoch 1 now
    trainer._sampler.epoch = 0
    order = [examples[i] for batch in [*trainer._sampler, *batches] for i in batch]
    arguments = TrainingArguments(
        str(tmp_path / "plain"), per_device_train_batch_size=4, max_steps=20, learning_rate=1e-2, logging_steps=1,
        warmup_steps=3, report_to=[], disable_tqdm=True, save_strategy="no", use_cpu=True, remove_unused_columns=False,
        seed=trainer.args.seed, train_sampling_strategy="sequential",
    )  # fmt: skip
    plain = PlainTrainer(
        model=adapted_model(eager=True),
        args=arguments,
        train_dataset=order,
        data_collator=lambda batch: {
            "sequences": [e.sequences[0] for e in batch],
            "votes": torch.tensor([e.votes[0] for e in batch]),
        },
        callbacks=[theirs],
    )
    plain.train()

    assert len(ours.losses) == len(theirs.losses) == 20
    assert max(ours.losses) - min(ours.losses) > 0.3  # it learns something
    assert ours.losses == pytest.approx(theirs.losses, abs=2e-4)
    for (name, wanted), got in zip(plain.model.named_parameters(), trainer.model.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


def test_out_of_memory_halves_the_budget_and_repeats_the_step(make_trainer: Any, monkeypatch: Any) -> None:
    examples = make_examples(40)
    log: list[str] = []
    roomy = one_step(make_trainer(examples, tokens_per_pass=10_000), examples)
    trainer = make_trainer(examples, tokens_per_pass=200, log=log.append)
    calls = 0
    real = trainer_module.pack_logits

    def pack_logits(model: Any, item: Any, dtype: Any) -> Any:
        nonlocal calls
        calls += 1
        # The second pass of the first attempt fails: by then the first has left its gradient behind.
        if len(item.input_ids) > 60 and calls > 1:
            raise torch.OutOfMemoryError
        return real(model, item, dtype)

    monkeypatch.setattr(trainer_module, "pack_logits", pack_logits)
    loss, got = one_step(trainer, examples)
    assert loss == pytest.approx(roomy[0], rel=1e-6)
    for name, gradient in roomy[1].items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-5)
    assert trainer._budget.tokens == 50
    assert len(log) == 2
    assert "200 tokens per pass; continuing with 100" in log[0]


def test_a_budget_halved_on_short_texts_grows_again_for_a_long_one(make_trainer: Any, monkeypatch: Any) -> None:
    """A budget may fall to the longest text of one step, and the next step's may be longer."""
    short, long = make_examples(6), [Example((np.arange(1, 60, dtype=np.int32),), ((1.0, 0.0, 0.0),))]
    trainer = make_trainer(short, tokens_per_pass=100)
    real = trainer_module.pack_logits

    def pack_logits(model: Any, item: Any, dtype: Any) -> Any:
        if len(item.sequences) > 1 and len(item.input_ids) > 35:
            raise torch.OutOfMemoryError
        return real(model, item, dtype)

    monkeypatch.setattr(trainer_module, "pack_logits", pack_logits)
    one_step(trainer, short)
    assert trainer._budget.tokens < 59
    loss, _ = one_step(trainer, long)
    assert loss == pytest.approx(one_step(make_trainer(long), long)[0])


def test_a_comparison_too_large_for_memory_is_a_clear_error(make_trainer: Any, monkeypatch: Any) -> None:
    def pack_logits(*_: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(trainer_module, "pack_logits", pack_logits)
    examples = make_examples(3)
    with pytest.raises(MemoryBudgetError, match=r"single comparison of \d+ tokens.*Lower text.max_length"):
        one_step(make_trainer(examples), examples)


def test_every_layer_is_checkpointed_once_before_giving_up() -> None:
    log: list[str] = []
    relieved: list[bool] = []

    def attempt(tokens: int) -> int:
        if not relieved:
            raise torch.OutOfMemoryError
        return tokens

    budget = TokenBudget(400, log.append, lambda: relieved.append(True))
    assert budget.run(attempt, longest=150) == 150
    assert relieved == [True]
    assert [sentence.partition(".")[0] for sentence in log] == [
        "Out of memory at 400 tokens per pass; continuing with 200",
        "Out of memory at 200 tokens per pass; continuing with 150",
        "Out of memory with a single comparison of 150 tokens",
    ]
    relieved.clear()
    with pytest.raises(MemoryBudgetError):
        budget.run(attempt, longest=150)


def test_a_process_without_a_comparison_takes_part_with_a_gradient_of_zero(make_trainer: Any) -> None:
    trainer = make_trainer(make_examples(4))
    assert trainer._accumulate([], total_weight=1.0, tokens_per_pass=64) == 0
    [gradient] = gradients(trainer.model).values()
    assert not gradient.any()
