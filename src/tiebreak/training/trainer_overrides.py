"""What Tiebreak overrides in the transformers Trainer outside its documented hooks, and why.

The Trainer is kept, not replaced by a loop of our own: its checkpoints resume to identical weights (optimiser,
scheduler, scaler and random states of every rank), users pass TrainerCallbacks and `report_to`, and early stopping,
`load_best_model_at_end` and `save_total_limit` build on its state. A loop would have to reimplement all of that to drop
the short list below.

Checked with transformers 5.10 and 5.23; tests/unit/training/test_trainer_overrides.py fails where a name is gone.

In this module:

- `TrainingArguments._n_gpu`: one process drives one GPU. Otherwise the Trainer wraps the model in DataParallel where
  there are several GPUs (`use_one_gpu_per_process`).
- `Accelerator.prepare_model(evaluation_mode=True)`: no DistributedDataParallel. It would broadcast the frozen base and
  keep gradient buckets; `JudgeTrainer` sums gradients once per step instead (`disable_model_wrapping`).
- `Trainer._load_from_checkpoint`: loads the adapter of a checkpoint without training (`load_weights`).
- `trainer_state.json` in a checkpoint: `best_model_checkpoint` is a path, wrong after the run folder has moved
  (`read_state`, `correct_best_checkpoint`). The Trainer writes this file last, so `RunFolder.latest_checkpoint` uses it
  to recognise complete checkpoints.

In `JudgeTrainer`, besides the documented `get_train_dataloader`, `training_step`, `create_optimizer`, `evaluate`, `log`
and `floating_point_ops`:

- `_save` writes adapter and head only.
- `_save_checkpoint` turns a full disk into a RunError.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainingArguments

from tiebreak.runs import write_json


def use_one_gpu_per_process(arguments: TrainingArguments) -> None:
    """Prevent the Trainer from wrapping the model in DataParallel."""
    arguments._n_gpu = min(arguments.n_gpu, 1)


def disable_model_wrapping(trainer: Trainer) -> None:
    """Prevent the Trainer from wrapping the model in DistributedDataParallel.

    Ranks start equal without its broadcast, since all initialise the new weights with the same seed.
    """
    trainer.accelerator.prepare_model = partial(trainer.accelerator.prepare_model, evaluation_mode=True)


def load_weights(trainer: Trainer, checkpoint: Path) -> None:
    """Load adapter and head of a checkpoint, without optimiser and random states."""
    trainer._load_from_checkpoint(str(checkpoint))


def read_state(checkpoint: Path) -> dict[str, Any]:
    """A checkpoint's `trainer_state.json`."""
    state: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return state


def correct_best_checkpoint(checkpoint: Path, best: Path) -> None:
    """Record where the best checkpoint is now."""
    write_json(checkpoint / "trainer_state.json", read_state(checkpoint) | {"best_model_checkpoint": str(best)})


def training_has_ended(state: dict[str, Any]) -> bool:
    """Whether a checkpoint was written at the last step, or when early stopping ended training."""
    control = state["stateful_callbacks"].get("TrainerControl", {}).get("args", {})
    return state["global_step"] >= state["max_steps"] or bool(control.get("should_training_stop"))
