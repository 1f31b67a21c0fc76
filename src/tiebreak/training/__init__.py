"""Train a run: votes and a recipe in, a run folder out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tiebreak.training.training_run import TrainingResult, train

if TYPE_CHECKING:
    from tiebreak.training.batches import Example, StepSampler, make_examples
    from tiebreak.training.trainer import JudgeTrainer
    from tiebreak.training.trainer_arguments import training_arguments

__all__ = [
    "Example",
    "JudgeTrainer",
    "StepSampler",
    "TrainingResult",
    "make_examples",
    "train",
    "training_arguments",
]

_LOADED_ON_ACCESS = {
    "Example": "batches",
    "JudgeTrainer": "trainer",
    "StepSampler": "batches",
    "make_examples": "batches",
    "training_arguments": "trainer_arguments",
}
"""Names whose modules import torch or numpy: a baseline is fitted without torch."""


def __getattr__(name: str) -> Any:
    if name in _LOADED_ON_ACCESS:
        return getattr(import_module(f"tiebreak.training.{_LOADED_ON_ACCESS[name]}"), name)
    raise AttributeError(f"module 'tiebreak.training' has no attribute {name!r}")
