"""Callbacks of the transformers Trainer: the order of an epoch, the history, and what the recipe asks for."""

from __future__ import annotations

from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tiebreak.recipe import TrainingSection
from tiebreak.runs import RunFolder
from tiebreak.training.batches import StepSampler
from tiebreak.training.distributed import is_rank_zero


class EpochOrder(TrainerCallback):
    """Sets the sampler's epoch, also when a run resumes in the middle of one."""

    def __init__(self, sampler: StepSampler) -> None:
        self._sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count steps: a resumed Trainer's `state.epoch` is a rounded fraction."""
        self._sampler.epoch = state.global_step // len(self._sampler)


class HistoryWriter(TrainerCallback):
    """Keeps the run's history.jsonl equal to the Trainer's own log, which checkpoints contain."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Rewrite the file, so that a resumed run has each line once."""
        if state.is_world_process_zero:
            self._folder.write_history(state.log_history)


def recipe_callbacks(settings: TrainingSection, folder: RunFolder) -> list[TrainerCallback]:
    """Early stopping, and TensorBoard in the run folder, where the recipe asks for them."""
    callbacks: list[TrainerCallback] = []
    if settings.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=settings.early_stopping_patience))
    if "tensorboard" in settings.report_to and is_rank_zero():
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations.integration_utils import TensorBoardCallback

        callbacks.append(TensorBoardCallback(SummaryWriter(log_dir=str(folder.tensorboard))))
    return callbacks
