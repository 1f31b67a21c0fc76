"""What happens beside the steps of a training run: the order of an epoch, and the history."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tiebreak.runs import RunFolder
from tiebreak.training.batches import StepSampler


class EpochOrder(TrainerCallback):
    """Tells the sampler which epoch begins, also when a run is taken up in the middle of one."""

    def __init__(self, sampler: StepSampler) -> None:
        self._sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Counts steps, since a resumed Trainer's `state.epoch` is a rounded fraction."""
        self._sampler.epoch = state.global_step // len(self._sampler)


class HistoryWriter(TrainerCallback):
    """Keeps the run's history.jsonl equal to the Trainer's own log, which checkpoints carry."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Written anew each time, so that a resumed run has each line once."""
        if state.is_world_process_zero:
            self._folder.write_history(state.log_history)
