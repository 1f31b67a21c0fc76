"""A tiny adapted Gemma 2 and examples for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.models.conftest import make_pair
from tiebreak.models import TokenBudget, add_adapter, lora_config
from tiebreak.recipe import TrainingSection
from tiebreak.runs import RunFolder
from tiebreak.training import Example, JudgeTrainer, training_arguments

VOTES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.2, 0.3, 0.5))


def make_examples(rows: int, *, both_orders: bool = False, seed: int = 0) -> list[Example]:
    rng = np.random.default_rng(seed)
    examples = []
    for i in range(rows):
        prefix = rng.integers(1, 97, size=int(rng.integers(3, 12))).astype(np.int32)
        orders = tuple(
            np.concatenate([prefix, rng.integers(1, 97, size=int(rng.integers(2, 20))).astype(np.int32)])
            for _ in range(2 if both_orders else 1)
        )
        a, b, tie = VOTES[i % 4]
        examples.append(Example(orders, ((a, b, tie), (b, a, tie))[: len(orders)]))
    return examples


def adapted_model(*, eager: bool = False) -> torch.nn.Module:
    """The tiny Gemma 2 with LoRA on every linear layer; B is not zero, so that every matrix has a gradient."""
    model: Any = make_pair("gemma2")[0 if eager else 1]
    torch.manual_seed(1)
    adapted = add_adapter(model, lora_config(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return adapted


@pytest.fixture
def make_trainer(tmp_path: Path) -> Any:
    def make(
        train: list[Example], *, tokens_per_pass: int = 64, model: Any = None, log: Any = None, **settings: Any
    ) -> JudgeTrainer:
        section = TrainingSection(**({"report_to": []} | settings))
        folder = RunFolder(tmp_path / "run")
        network: Any = adapted_model() if model is None else model
        return JudgeTrainer(
            network,
            training_arguments(section, checkpoints=folder.checkpoints, total_steps=20, compute_dtype=torch.float32),
            train=train,
            validation=train[:8],
            batch_size=section.batch_size,
            compute_dtype=torch.float32,
            budget=TokenBudget(tokens_per_pass, log),
            folder=folder,
            center_rewards_coefficient=section.center_rewards_coefficient,
        )

    return make


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad and p.grad is not None}
