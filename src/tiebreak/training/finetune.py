"""Fine-tuning a model into a judge: the one place where the recipe is taken apart for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback, set_seed

from tiebreak.answer_order import align_orders
from tiebreak.calibration import Calibration, fit_calibration
from tiebreak.errors import MemoryBudgetError, RecipeError
from tiebreak.library_logging import quiet_model_loading
from tiebreak.metrics import preference_metrics
from tiebreak.models import (
    JudgeCard,
    RewardHead,
    RewardScale,
    TokenBudget,
    default_device,
    judge_head,
    layer_stack,
    load_tokenizer,
    resolve_compute_dtype,
    save_trained,
    use_fused_layers,
)
from tiebreak.progress import cumulative_progress
from tiebreak.ranking import tie_parameter_of
from tiebreak.recipe import DataSection, Recipe, TrainingSection, dump_recipe
from tiebreak.runs import RunFolder, write_json, write_predictions
from tiebreak.text import TruncationReport, resolve_template
from tiebreak.training.batches import Example, digest_of, example_maker
from tiebreak.training.budget_search import search_budget
from tiebreak.training.environment import describe_environment, process_count, process_index
from tiebreak.training.model_setup import build_model, check_context_length
from tiebreak.training.resume import check_same_data, resume_training
from tiebreak.training.splits import (
    SplitVotes,
    calibration_source,
    split_votes,
    votes_for_head,
    warn_about_shared_prompts,
)
from tiebreak.training.trainer import JudgeTrainer
from tiebreak.training.trainer_arguments import training_arguments
from tiebreak.types import Comparison, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from peft import PeftModel
    from transformers import PreTrainedTokenizerFast

MANY_ROWS = 5000
"""From so many rows on, tokenising them takes seconds."""


def fine_tune(
    recipe: Recipe,
    folder: RunFolder,
    *,
    resume: bool,
    callbacks: Sequence[TrainerCallback],
    log: Callable[[str], None],
    on_tokenised: Callable[[int, int], None] | None,
) -> dict[str, float]:
    """Fine-tune a model, in a folder that no other process trains in; returns the metrics, as in `train`."""
    votes = SplitVotes(*(votes_for_head(recipe.model, rows, log) for rows in split_votes(recipe.data, log)))
    training, validation, calibration = votes

    set_seed(recipe.training.seed)
    device = default_device()
    compute_dtype = resolve_compute_dtype(recipe.model.compute_dtype, recipe.model.precision, device)
    arguments = training_arguments(
        recipe.training,
        checkpoints=folder.checkpoints,
        total_steps=_total_steps(recipe.training, rows=len(training)),
        compute_dtype=compute_dtype,
        world_size=process_count(),
    )
    tokenizer = load_tokenizer(recipe.model.name, recipe.model.revision)
    template = resolve_template(recipe.text.template, recipe.model.head)
    make = example_maker(tokenizer, template, max_length=recipe.text.max_length)
    if len(training) > MANY_ROWS:
        log(f"Tokenising {sum(map(len, votes)):,} comparisons.")
    both_orders, pointwise = recipe.training.both_orders, recipe.model.head == "pointwise"
    texts = len(training) * (2 if both_orders or pointwise else 1) + len(validation) * (2 if pointwise else 1)
    pluralize = None if on_tokenised is None else cumulative_progress(texts + 2 * len(calibration), on_tokenised)
    examples, encoded = make(training, both_orders=both_orders, on_progress=pluralize)
    held_out, encoded_validation = make(validation, both_orders=False, on_progress=pluralize)
    # In both orders where they differ, each an example of its own, since of an example the first order is judged.
    orders = [order for row in calibration for order in ((row,) if pointwise else row.orders)]
    set_aside, _ = make(orders, both_orders=False, on_progress=pluralize)
    noun = "answer" if pointwise else "comparison"
    log(f"Training rows: {len(training):,}. {TruncationReport.of(encoded, noun)}")
    log(f"Validation rows: {len(validation):,}. {TruncationReport.of(encoded_validation, noun)}")
    if calibration:
        log(f"Calibration rows: {len(calibration):,}.")

    warn_about_shared_prompts(votes, log)
    digest = digest_of([*examples, *held_out, *set_aside])
    if resume:
        check_same_data(folder, digest)

    with quiet_model_loading():
        model = build_model(
            recipe.model, recipe.lora, tie_parameter=_first_tie_parameter(training), seed=recipe.training.seed,
            device=device, log=log,
        )  # fmt: skip
    use_fused_layers(model, compute_dtype)
    check_context_length(model, recipe.text.max_length)
    tokens = _tokens_per_pass(model, recipe.training, examples, compute_dtype, log)
    on_exhausted = partial(layer_stack(model).checkpoint, layer_stack(model).trained_layers)
    budget = TokenBudget(tokens, log, on_exhausted if recipe.training.gradient_checkpointing == "auto" else None)
    if process_index() == 0:  # not before: a mistake in data or model leaves no folder behind
        folder.begin(dump_recipe(recipe))
        write_json(folder.environment, describe_environment(recipe.training.seed) | {"data_digest": digest})
    with _abandon_if_not_started(folder):
        trainer = JudgeTrainer(
            model,
            arguments,
            train=examples,
            validation=held_out,
            batch_size=recipe.training.batch_size,
            compute_dtype=compute_dtype,
            budget=budget,
            folder=folder,
            center_rewards_coefficient=recipe.training.center_rewards_coefficient,
            callbacks=[*_recipe_callbacks(recipe.training, folder), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        checkpoint = folder.latest_checkpoint() if resume else None
        if checkpoint is None:
            trainer.train()
        else:
            resume_training(trainer, checkpoint, log)

    fitted = _calibrate(trainer, set_aside, calibration, recipe.data, log) if calibration else None
    card = partial(
        JudgeCard,
        base_model=recipe.model.name,
        revision=recipe.model.revision,
        head=recipe.model.head,
        precision=recipe.model.precision,
        compute_dtype=recipe.model.compute_dtype,
        template=template.text,
        max_length=recipe.text.max_length,
        tokens_per_pass=budget.tokens,
        calibration=fitted,
    )
    return _keep(folder, trainer, held_out, validation, fitted, model, tokenizer, card)


def _calibrate(
    trainer: JudgeTrainer, examples: Sequence[Example], rows: Sequence[Comparison], settings: DataSection,
    log: Callable[[str], None],
) -> Calibration:  # fmt: skip
    """Fitted on rows whose orders, one of a pointwise head, are these examples; the same on every process."""
    judged = align_orders(trainer.judge(examples).reshape(len(rows), -1, 3))
    fitted = fit_calibration(
        judged, [_vote(row) for row in rows], [row.folded_prompt for row in rows], source=calibration_source(settings)
    )
    log(str(fitted))
    return fitted


def _keep(
    folder: RunFolder, trainer: JudgeTrainer, examples: Sequence[Example], validation: Sequence[Comparison],
    calibration: Calibration | None, model: PeftModel, tokenizer: PreTrainedTokenizerFast,
    card: Callable[..., JudgeCard],
) -> dict[str, float]:  # fmt: skip
    """Validate what was trained, and write it into its folder; returns the metrics."""
    outputs = trainer.outputs(examples)
    probabilities = trainer.probabilities(outputs)
    votes = [_vote(c) for c in validation]
    metrics = preference_metrics(probabilities, votes)
    if calibration is not None:
        uncalibrated = {f"uncalibrated_{name}": value for name, value in metrics.items()}
        probabilities = calibration.apply(probabilities)
        metrics = preference_metrics(probabilities, votes) | uncalibrated
    head = judge_head(model)
    rewards = scale = None
    if isinstance(head, RewardHead):
        rewards = outputs[..., 0]
        scale = _scale(head, rewards)
        metrics |= {
            "reward_mean": scale.mean, "reward_deviation": scale.deviation, "tie_parameter": scale.tie_parameter,
        }  # fmt: skip
    if process_index() == 0:
        save_trained(folder.model, model, tokenizer, card(rewards=scale))
        write_predictions(folder.predictions, validation, probabilities, rewards)
        write_json(folder.metrics, metrics)
    return metrics


def _first_tie_parameter(votes: Sequence[Comparison]) -> float:
    """The one at which equal answers tie as often as these votes do, half a tie more and one more vote."""
    ties = sum(_vote(comparison)[2] for comparison in votes)
    return tie_parameter_of((ties + 0.5) / (len(votes) + 1))


def _scale(head: RewardHead, rewards: NDArray[np.float64]) -> RewardScale:
    """What the head learned of ties, and what rewards of the validation's answers look like."""
    tie = 0.0 if head.tie_parameter is None else float(head.tie_parameter.detach())
    return RewardScale(
        tie_model=head.tie_model, tie_parameter=tie, mean=float(rewards.mean()), deviation=float(rewards.std())
    )


def _total_steps(settings: TrainingSection, *, rows: int) -> int:
    if settings.max_steps > 0:
        return settings.max_steps
    return math.ceil(settings.num_train_epochs * math.ceil(rows / settings.batch_size))


def _tokens_per_pass(
    model: PeftModel, settings: TrainingSection, examples: Sequence[Example], compute_dtype: torch.dtype,
    log: Callable[[str], None],
) -> int:  # fmt: skip
    """As the recipe says, or as memory allows; decides on checkpointing too."""
    tokens = sorted(sum(len(ids) for ids in example.sequences) for example in examples)
    return search_budget(
        model,
        compute_dtype,
        least=max(example.longest for example in examples),
        most=sum(tokens[-settings.batch_size :]),
        tokens=settings.tokens_per_pass,
        checkpointing=settings.gradient_checkpointing,
        log=log,
    ).tokens


def _recipe_callbacks(settings: TrainingSection, folder: RunFolder) -> list[TrainerCallback]:
    """What the recipe asks for beyond the Trainer's own: early stopping, and TensorBoard in the run folder."""
    callbacks: list[TrainerCallback] = []
    if settings.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=settings.early_stopping_patience))
    if "tensorboard" in settings.report_to and process_index() == 0:
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations.integration_utils import TensorBoardCallback

        callbacks.append(TensorBoardCallback(SummaryWriter(log_dir=str(folder.tensorboard))))
    return callbacks


@contextmanager
def _abandon_if_not_started(folder: RunFolder) -> Iterator[None]:
    """Tell what transformers refuses before anything was logged, and leave no folder of a run that never began."""

    def abandon() -> None:
        if not folder.history.exists() and process_index() == 0:
            folder.abandon()

    try:
        yield
    except MemoryBudgetError:
        abandon()  # so that the mended command is not refused
        raise
    except torch.OutOfMemoryError as error:
        abandon()
        raise MemoryBudgetError(
            "Out of memory beside the passes (the optimiser's state, the sum of gradients). Lower lora.r, take "
            "training.optim=paged_adamw_8bit, or use a GPU with more memory."
        ) from error
    except (ImportError, KeyError, TypeError, ValueError, RuntimeError) as error:
        from_a_sibling = isinstance(error, RuntimeError) and process_count() > 1  # it ended, and we wait for it in vain
        if folder.history.exists() or process_index() != 0 or from_a_sibling:
            raise
        folder.abandon()
        raise RecipeError(f"Training cannot begin with these settings: {error}") from error


def _vote(comparison: Comparison) -> Vote:
    assert comparison.vote is not None
    return comparison.vote
