"""The recipe's `training` section as transformers' TrainingArguments."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any, Final

import torch
from transformers import TrainingArguments

from tiebreak.errors import RecipeError
from tiebreak.recipe import TrainingSection
from tiebreak.training.trainer_overrides import use_one_gpu_per_process

_REFUSED: Final = {
    "per_device_train_batch_size": "it is decided by training.batch_size",
    "per_device_eval_batch_size": "it is decided by training.tokens_per_pass",
    "gradient_accumulation_steps": "a step takes as many passes as training.tokens_per_pass requires",
    "auto_find_batch_size": "training.tokens_per_pass adapts to the memory already",
    "output_dir": "it is decided by output",
    "bf16": "it is decided by model.precision and model.compute_dtype",
    "fp16": "it is decided by model.precision and model.compute_dtype",
    "gradient_checkpointing": "it is decided by training.gradient_checkpointing",
    "activation_checkpointing": "it is decided by training.gradient_checkpointing",
    "gradient_checkpointing_kwargs": "training.gradient_checkpointing has no further options",
    "activation_checkpointing_kwargs": "training.gradient_checkpointing has no further options",
    "label_smoothing_factor": "the loss is the cross-entropy with the vote; give soft votes instead",
    "neftune_noise_alpha": "its noise would depend on which texts share a pass",
    "data_seed": "the order of the rows is decided by training.seed",
    "train_sampling_strategy": "the order of the rows is decided by training.seed",
    "save_only_model": "a run could not be resumed",
    "push_to_hub": "push the finished run's model folder instead",
    "deepspeed": "only plain data parallelism is supported",
    "fsdp": "only plain data parallelism is supported",
    "fsdp_config": "only plain data parallelism is supported",
}
"""Arguments that Tiebreak would ignore or that would break its guarantees, and why."""

_TRAINER_ARGUMENTS: Final = [field.name for field in dataclasses.fields(TrainingArguments)]


def training_arguments(
    settings: TrainingSection, *, checkpoints: Path, total_steps: int, compute_dtype: torch.dtype, world_size: int = 1
) -> TrainingArguments:
    """Translate the recipe's `training` section.

    Args:
        settings: the section.
        checkpoints: the folder for checkpoints.
        total_steps: optimiser steps of the run; shares of it become whole numbers of steps.
        compute_dtype: float16 on a GPU enables the Trainer's gradient scaler; the model does its own autocasting.
        world_size: processes that share a step.

    Raises:
        RecipeError: `trainer_arguments` has an unknown or impossible argument, or one that has its own recipe key.
    """
    if settings.optim.startswith("schedule_free"):
        raise RecipeError(f"training.optim={settings.optim}: schedule-free optimisers are not supported.")
    save_steps, eval_steps = _save_and_eval_steps(settings, total_steps)
    arguments: dict[str, Any] = {
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": -(-settings.batch_size // world_size),
        "fp16": compute_dtype == torch.float16 and torch.cuda.is_available(),
        "logging_strategy": "steps",
        "logging_steps": _whole_steps(settings.logging_steps, total_steps),
        "logging_nan_inf_filter": False,  # a diverged loss should show
        "eval_strategy": "steps",
        "eval_steps": eval_steps,
        "save_strategy": "steps",
        "save_steps": save_steps,
        "restore_callback_states_from_checkpoint": settings.early_stopping_patience is not None,
        # TensorBoard writes into the run folder: see callbacks.recipe_callbacks.
        "report_to": [logger for logger in settings.report_to if logger != "tensorboard"],
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "use_cpu": not torch.cuda.is_available(),
    } | {name: getattr(settings, name) for name in _SAME_NAME}
    _check_extra_arguments(settings.trainer_arguments, arguments)
    try:
        translated = TrainingArguments(**(arguments | settings.trainer_arguments))
    except (ValueError, TypeError, ImportError) as error:
        raise RecipeError(f"transformers refuses the training section: {error}") from error
    use_one_gpu_per_process(translated)
    return translated


_SAME_NAME: Final = (
    "num_train_epochs",
    "max_steps",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "optim",
    "weight_decay",
    "max_grad_norm",
    "save_total_limit",
    "load_best_model_at_end",
    "metric_for_best_model",
    "seed",
)
"""Recipe keys that are arguments of the Trainer too."""


def _whole_steps(steps: float, total_steps: int) -> int:
    """A number of steps, at least one; below 1 it is a share of `total_steps`."""
    return max(1, round(steps * total_steps)) if steps < 1 else int(steps)


def _save_and_eval_steps(settings: TrainingSection, total_steps: int) -> tuple[int, int]:
    """Steps between checkpoints and between validations.

    With `load_best_model_at_end` every checkpoint has to be validated. Shares are rounded so that they are.

    Raises:
        RecipeError: both are numbers of steps, and one is not a multiple of the other.
    """
    save = _whole_steps(settings.save_steps, total_steps)
    evaluate = save if settings.eval_steps is None else _whole_steps(settings.eval_steps, total_steps)
    if not settings.load_best_model_at_end or save % evaluate == 0:
        return save, evaluate
    if settings.save_steps < 1:
        return evaluate * max(1, round(save / evaluate)), evaluate
    if settings.eval_steps is not None and settings.eval_steps < 1:
        return save, next(n for n in range(evaluate, 0, -1) if save % n == 0)
    raise RecipeError(
        f"training.save_steps ({save}) has to be a multiple of training.eval_steps ({evaluate}), so that every "
        "checkpoint is validated; or set training.load_best_model_at_end=false to keep the last model."
    )


def _check_extra_arguments(extra: dict[str, Any], translated: dict[str, Any]) -> None:
    for name in extra:
        if name in _REFUSED:
            raise RecipeError(f"training.trainer_arguments.{name}: {_REFUSED[name]}.")
        if name in translated:
            key = f"training.{name}" if name in TrainingSection.model_fields else "the training section"
            raise RecipeError(f"training.trainer_arguments.{name}: it is decided by {key}.")
        if name not in _TRAINER_ARGUMENTS:
            close = difflib.get_close_matches(name, _TRAINER_ARGUMENTS, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise RecipeError(f"training.trainer_arguments.{name}: TrainingArguments has no such argument.{hint}")
