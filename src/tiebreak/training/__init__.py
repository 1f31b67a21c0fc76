"""Packs and votes in, a run folder out."""

from tiebreak.training.arguments import training_arguments
from tiebreak.training.batches import Example, StepSampler, make_examples
from tiebreak.training.fit import TrainingResult, train
from tiebreak.training.plan import GPUS, Plan, plan_run
from tiebreak.training.trainer import JudgeTrainer

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
