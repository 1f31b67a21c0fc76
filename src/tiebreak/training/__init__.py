"""Packs and votes in, a run folder out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tiebreak.training.training_run import TrainingResult, train

if TYPE_CHECKING:
    from tiebreak.training.batches import Example, StepSampler, make_examples
    from tiebreak.training.estimates import GPUS, Plan, plan_run
    from tiebreak.training.trainer import JudgeTrainer
    from tiebreak.training.trainer_arguments import training_arguments

__all__ = [
    "GPUS",
    "Example",
    "JudgeTrainer",
    "Plan",
    "StepSampler",
    "TrainingResult",
    "make_examples",
    "plan_run",
    "train",
    "training_arguments",
]

_NEEDS_TORCH = {
    "trainer_arguments": ("training_arguments",),
    "batches": ("Example", "StepSampler", "make_examples"),
    "estimates": ("GPUS", "Plan", "plan_run"),
    "trainer": ("JudgeTrainer",),
}
"""Loaded when they are asked for: a classical judge is fitted without torch."""


def __getattr__(name: str) -> Any:
    for module, names in _NEEDS_TORCH.items():
        if name in names:
            return getattr(import_module(f"tiebreak.training.{module}"), name)
    raise AttributeError(f"module 'tiebreak.training' has no attribute {name!r}")
