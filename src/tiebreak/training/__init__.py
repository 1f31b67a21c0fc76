"""Packs and votes in, a run folder out."""

from tiebreak.training.arguments import training_arguments
from tiebreak.training.batches import Example, StepSampler, make_examples
from tiebreak.training.fit import TrainingResult, train
from tiebreak.training.trainer import JudgeTrainer

__all__ = ["Example", "JudgeTrainer", "StepSampler", "TrainingResult", "make_examples", "train", "training_arguments"]
