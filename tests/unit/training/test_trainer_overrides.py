"""The names outside the Trainer's documented interface that Tiebreak uses still exist."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import Trainer, TrainingArguments

from tests.unit.training.conftest import make_examples
from tiebreak.training.trainer_overrides import load_weights, read_state, training_has_ended


def test_the_overridden_names_exist() -> None:
    assert "evaluation_mode" in inspect.signature(Accelerator.prepare_model).parameters
    assert list(inspect.signature(Trainer._save_checkpoint).parameters) == ["self", "model", "trial"]
    assert list(inspect.signature(Trainer._save).parameters) == ["self", "output_dir", "state_dict"]
    assert "resume_from_checkpoint" in inspect.signature(Trainer._load_from_checkpoint).parameters


def test_one_process_drives_one_gpu(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda _: 4))
    assert make_trainer(make_examples(4)).args._n_gpu == 1


def test_the_model_is_not_wrapped(make_trainer: Any) -> None:
    trainer = make_trainer(make_examples(4), max_steps=1, save_steps=100, warmup_steps=0)
    trainer.train()
    assert trainer.model_wrapped is trainer.network


def test_weights_of_a_checkpoint_are_loaded(make_trainer: Any) -> None:
    trainer = make_trainer(
        make_examples(4), max_steps=2, save_steps=1, eval_steps=1, warmup_steps=0, learning_rate=1e-2, batch_size=4,
        load_best_model_at_end=False,
    )  # fmt: skip
    trainer.train()
    checkpoints = [Path(trainer.args.output_dir) / f"checkpoint-{step}" for step in (1, 2)]
    assert [training_has_ended(read_state(checkpoint)) for checkpoint in checkpoints] == [False, True]
    name = next(n for n, p in trainer.network.named_parameters() if p.requires_grad and "lora_B" in n)
    last = trainer.network.get_parameter(name).clone()
    load_weights(trainer, checkpoints[0])
    assert not torch.equal(trainer.network.get_parameter(name), last)
    load_weights(trainer, checkpoints[1])
    assert torch.equal(trainer.network.get_parameter(name), last)
