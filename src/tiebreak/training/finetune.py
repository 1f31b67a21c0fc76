"""Fine-tune a language model into a judge: the steps of a run, in their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import torch
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, set_seed

from tiebreak.errors import MemoryBudgetError, ModelError, RecipeError
from tiebreak.models import TokenBudget, check_base, default_device, layer_stack, resolve_compute_dtype
from tiebreak.prompt_folding import CURRENT_FOLD
from tiebreak.recipe import Recipe, TrainingSection, dump_recipe
from tiebreak.runs import RunFolder, write_json
from tiebreak.training.batches import Example
from tiebreak.training.budget_search import search_budget
from tiebreak.training.callbacks import recipe_callbacks
from tiebreak.training.distributed import is_rank_zero, world_size
from tiebreak.training.environment import describe_environment
from tiebreak.training.model_setup import prepare_model
from tiebreak.training.results import save_results
from tiebreak.training.resume import check_same_data, recorded_fold, resume_training, start_date
from tiebreak.training.splits import SplitVotes, split_votes, votes_for_head, warn_about_shared_prompts
from tiebreak.training.tokenised_votes import TokenisedVotes, tokenise
from tiebreak.training.trainer import JudgeTrainer
from tiebreak.training.trainer_arguments import training_arguments
from tiebreak.training.validation import keep_rows
from tiebreak.training.vote_sources import SourceRows, files_record

if TYPE_CHECKING:
    from peft import PeftModel


def fine_tune(
    recipe: Recipe,
    folder: RunFolder,
    *,
    resume: bool,
    callbacks: Sequence[TrainerCallback],
    log: Callable[[str], None],
    on_tokenised: Callable[[int, int], None] | None,
) -> dict[str, float]:
    """Fine-tune a model in a folder that this process has locked; arguments and metrics as in `train`.

    Nothing is written before votes, settings and model are known to be usable.
    """
    fold = recorded_fold(folder) if resume and folder.holds_a_run else CURRENT_FOLD
    files: list[SourceRows] = []
    votes = SplitVotes(
        *(votes_for_head(recipe.model, rows, log) for rows in split_votes(recipe.data, log, fold, files.extend))
    )
    set_seed(recipe.training.seed)
    settings = recipe.model
    for note in check_base(
        settings.name, settings.revision, precision=settings.precision, max_length=recipe.text.max_length
    ):
        log(note)
    compute_dtype = resolve_compute_dtype(recipe.model.compute_dtype, recipe.model.precision, default_device())
    arguments = _trainer_arguments(recipe.training, folder, rows=len(votes.training), compute_dtype=compute_dtype)
    today = (start_date(folder) if resume else None) or date.today()
    tokenised = tokenise(recipe, votes, log, on_tokenised, today=today)
    warn_about_shared_prompts(votes, log)
    if resume:
        check_same_data(folder, tokenised.digest)
    model = prepare_model(recipe, votes.training, compute_dtype, log)
    budget = _token_budget(model, recipe.training, tokenised.training, compute_dtype, log)
    if is_rank_zero():
        _begin_run(folder, recipe, tokenised, files, fold, today)
    with _abandon_if_not_started(folder):
        trainer = JudgeTrainer(
            model,
            arguments,
            train=tokenised.training,
            validation=tokenised.validation,
            batch_size=recipe.training.batch_size,
            compute_dtype=compute_dtype,
            budget=budget,
            folder=folder,
            center_rewards_coefficient=recipe.training.center_rewards_coefficient,
            callbacks=[*recipe_callbacks(recipe.training, folder), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        checkpoint = folder.latest_checkpoint() if resume else None
        if checkpoint is None:
            trainer.train()
        else:
            resume_training(trainer, checkpoint, log)
    return save_results(recipe, folder, trainer, tokenised, tokens_per_pass=budget.tokens, log=log)


def _trainer_arguments(
    settings: TrainingSection, folder: RunFolder, *, rows: int, compute_dtype: torch.dtype
) -> TrainingArguments:
    steps_per_epoch = math.ceil(rows / settings.batch_size)
    return training_arguments(
        settings,
        checkpoints=folder.checkpoints,
        total_steps=(
            settings.max_steps if settings.max_steps > 0 else math.ceil(settings.num_train_epochs * steps_per_epoch)
        ),
        compute_dtype=compute_dtype,
        world_size=world_size(),
    )


def _token_budget(
    model: PeftModel, settings: TrainingSection, examples: Sequence[Example], compute_dtype: torch.dtype,
    log: Callable[[str], None],
) -> TokenBudget:  # fmt: skip
    """Tokens per pass as the recipe says, or as memory allows; sets the model's checkpointing too."""
    tokens = sorted(sum(len(ids) for ids in example.sequences) for example in examples)
    budget = search_budget(
        model,
        compute_dtype,
        least=max(example.longest for example in examples),
        most=sum(tokens[-settings.batch_size :]),
        tokens=settings.tokens_per_pass,
        checkpointing=settings.gradient_checkpointing,
        log=log,
    )
    on_exhausted = partial(layer_stack(model).checkpoint, layer_stack(model).trained_layers)
    return TokenBudget(budget.tokens, log, on_exhausted if settings.gradient_checkpointing == "auto" else None)


def _begin_run(
    folder: RunFolder, recipe: Recipe, tokenised: TokenisedVotes, files: Sequence[SourceRows], fold: int, today: date
) -> None:
    """Write what identifies the run: recipe, environment, validation rows."""
    folder.begin(dump_recipe(recipe))
    environment = describe_environment(recipe.training.seed) | {
        "data_digest": tokenised.digest, "start_date": today.isoformat(), "prompt_fold": fold,
    } | files_record(files)  # fmt: skip
    write_json(folder.environment, environment)
    keep_rows(folder, tokenised.votes, recipe.data)


@contextmanager
def _abandon_if_not_started(folder: RunFolder) -> Iterator[None]:
    """If training fails before its first log line, remove the folder, so that the corrected command can use it.

    Raises:
        MemoryBudgetError: out of memory.
        RecipeError: the Trainer refused a setting.
    """

    def abandon() -> None:
        if not folder.history.exists() and is_rank_zero():
            folder.abandon()

    try:
        yield
    except (MemoryBudgetError, ModelError):
        abandon()
        raise
    except torch.OutOfMemoryError as error:
        abandon()
        raise MemoryBudgetError(
            "Out of memory outside the passes (optimiser state, sum of gradients). Lower lora.r, set "
            "training.optim=paged_adamw_8bit, or use a GPU with more memory."
        ) from error
    except (ImportError, KeyError, TypeError, ValueError, RuntimeError) as error:
        # With several processes a RuntimeError may only say that another rank ended.
        from_another_rank = isinstance(error, RuntimeError) and world_size() > 1
        if folder.history.exists() or not is_rank_zero() or from_another_rank:
            raise
        folder.abandon()
        raise RecipeError(f"Training cannot begin with these settings: {error}") from error
