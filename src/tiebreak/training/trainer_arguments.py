"""The recipe's training section as transformers' TrainingArguments."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any, Final

import torch
from transformers import TrainingArguments

from tiebreak.errors import RecipeError
from tiebreak.recipe import TrainingSection

_REFUSED: Final = {
    "per_device_train_batch_size": "it is decided by training.batch_size",
    "per_device_eval_batch_size": "it is decided by training.tokens_per_pass",
    "gradient_accumulation_steps": "a step takes as many passes as training.tokens_per_pass asks for",
    "auto_find_batch_size": "training.tokens_per_pass halves by itself",
    "output_dir": "it is decided by output",
    "bf16": "it is decided by model.precision and model.compute_dtype",
    "fp16": "it is decided by model.precision and model.compute_dtype",
    "gradient_checkpointing": "it is decided by training.gradient_checkpointing",
    "activation_checkpointing": "it is decided by training.gradient_checkpointing",
    "gradient_checkpointing_kwargs": "training.gradient_checkpointing knows one way of it",
    "activation_checkpointing_kwargs": "training.gradient_checkpointing knows one way of it",
    "label_smoothing_factor": "the loss is the cross-entropy against the vote as it is; give soft votes instead",
    "neftune_noise_alpha": "its noise would depend on what shares a pass",
    "data_seed": "the order of the rows is decided by training.seed",
    "train_sampling_strategy": "the order of the rows is decided by training.seed",
    "save_only_model": "a run could not be resumed",
    "push_to_hub": "push the finished run's model folder instead",
    "deepspeed": "only plain data parallelism is supported",
    "fsdp": "only plain data parallelism is supported",
    "fsdp_config": "only plain data parallelism is supported",
}
"""Arguments of transformers' Trainer that would be ignored, or would break what Tiebreak promises."""

_KNOWN: Final = [field.name for field in dataclasses.fields(TrainingArguments)]


def training_arguments(
    settings: TrainingSection, *, checkpoints: Path, total_steps: int, compute_dtype: torch.dtype, world_size: int = 1
) -> TrainingArguments:
    """TrainingArguments that say what the recipe says.

    Args:
        settings: the recipe's `training` section.
        checkpoints: where the Trainer keeps its checkpoints.
        total_steps: optimiser steps of the whole run, of which shares are turned into whole numbers.
        compute_dtype: float16 on a GPU brings the Trainer's gradient scaler; autocast is the network's own affair.
        world_size: processes that share a step.

    Raises:
        RecipeError: `trainer_arguments` holds an unknown or impossible argument, or one the recipe has a key for.
    """
    if settings.optim.startswith("schedule_free"):
        raise RecipeError(f"training.optim={settings.optim}: schedule-free optimisers are not supported.")
    save_steps, eval_steps = _save_and_eval_steps(settings, total_steps)
    given: dict[str, Any] = {
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": -(-settings.batch_size // world_size),
        "num_train_epochs": settings.num_train_epochs,
        "max_steps": settings.max_steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.lr_scheduler_type,
        "warmup_steps": settings.warmup_steps,
        "optim": settings.optim,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "fp16": compute_dtype == torch.float16 and torch.cuda.is_available(),
        "logging_strategy": "steps",
        "logging_steps": _whole(settings.logging_steps, total_steps),
        "logging_nan_inf_filter": False,  # a diverged loss should show
        "eval_strategy": "steps",
        "eval_steps": eval_steps,
        "save_strategy": "steps",
        "save_steps": save_steps,
        "save_total_limit": settings.save_total_limit,
        "load_best_model_at_end": settings.load_best_model_at_end,
        "metric_for_best_model": settings.metric_for_best_model,
        "restore_callback_states_from_checkpoint": settings.early_stopping_patience is not None,
        "report_to": [logger for logger in settings.report_to if logger != "tensorboard"],  # `fit` places that one
        "seed": settings.seed,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "use_cpu": not torch.cuda.is_available(),
    }
    _check(settings.trainer_arguments, given)
    try:
        arguments = TrainingArguments(**(given | settings.trainer_arguments))
    except (ValueError, TypeError, ImportError) as error:
        raise RecipeError(f"The training section is refused by transformers: {error}") from error
    # One process drives one GPU: without this the Trainer would wrap the model in DataParallel on a multi-GPU host.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _whole(steps: float, total_steps: int) -> int:
    """A number of steps, or a share of all of them, as a whole number of at least one."""
    return max(1, round(steps * total_steps)) if steps < 1 else int(steps)


def _save_and_eval_steps(settings: TrainingSection, total_steps: int) -> tuple[int, int]:
    """The best model can only be kept if every checkpoint is one that was validated.

    A share is rounded so that this holds; two numbers of steps that do not go together are refused.
    """
    save = _whole(settings.save_steps, total_steps)
    evaluate = save if settings.eval_steps is None else _whole(settings.eval_steps, total_steps)
    if not settings.load_best_model_at_end or save % evaluate == 0:
        return save, evaluate
    if settings.save_steps < 1:
        return evaluate * max(1, round(save / evaluate)), evaluate
    if settings.eval_steps is not None and settings.eval_steps < 1:
        return save, next(n for n in range(evaluate, 0, -1) if save % n == 0)
    raise RecipeError(
        f"training.save_steps ({save}) has to be a multiple of training.eval_steps ({evaluate}), so that every "
        "checkpoint was validated; or set training.load_best_model_at_end=false to keep the last model."
    )


def _check(extra: dict[str, Any], given: dict[str, Any]) -> None:
    for name in extra:
        if name in _REFUSED:
            raise RecipeError(f"training.trainer_arguments.{name}: {_REFUSED[name]}.")
        if name in given:
            own = f"training.{name}" if name in TrainingSection.model_fields else "the training section"
            raise RecipeError(f"training.trainer_arguments.{name}: it is decided by {own}.")
        if name not in _KNOWN:
            close = difflib.get_close_matches(name, _KNOWN, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise RecipeError(f"training.trainer_arguments.{name}: TrainingArguments has no such argument.{hint}")
