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

from tiebreak.comparison import Comparison, Vote
from tiebreak.errors import MemoryBudgetError, RecipeError
from tiebreak.judging import Calibration, fit_calibration, preference_metrics, tie_parameter_of, write_predictions
from tiebreak.model import (
    JudgeCard,
    RewardHead,
    RewardScale,
    TokenBudget,
    checkpoint_layers,
    default_device,
    fuse,
    head_of,
    layer_count,
    load_tokenizer,
    resolve_compute_dtype,
    save_trained,
)
from tiebreak.progress import count_up
from tiebreak.quiet import quiet_loading
from tiebreak.recipe import DataSection, Recipe, TrainingSection, dump_recipe
from tiebreak.run import RunFolder, write_json
from tiebreak.text import CutReport, template_of
from tiebreak.training.arguments import training_arguments
from tiebreak.training.batches import Example, digest_of, example_maker
from tiebreak.training.build import build_model, refuse_longer_than_context
from tiebreak.training.environment import describe_environment, process_count, process_index
from tiebreak.training.memory import measure_budget
from tiebreak.training.resume import go_on, refuse_other_data
from tiebreak.training.trainer import JudgeTrainer
from tiebreak.training.votes import SplitVotes, calibrated_on, split_votes, votes_for, warn_of_shared_prompts

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
    tell: Callable[[str], None],
    on_tokenised: Callable[[int, int], None] | None,
) -> dict[str, float]:
    """Fine-tune a model, in a folder that no other process trains in; returns the metrics, as in `train`."""
    votes = SplitVotes(*(votes_for(recipe.model, rows, tell) for rows in split_votes(recipe.data, tell)))
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
    template = template_of(recipe.text.template, recipe.model.head)
    make = example_maker(tokenizer, template, max_length=recipe.text.max_length)
    if len(training) > MANY_ROWS:
        tell(f"Tokenising {sum(map(len, votes)):,} comparisons.")
    both_orders, pointwise = recipe.training.both_orders, recipe.model.head == "pointwise"
    texts = len(training) * (2 if both_orders or pointwise else 1) + len(validation) * (2 if pointwise else 1)
    counted = None if on_tokenised is None else count_up(texts + 2 * len(calibration), on_tokenised)
    examples, encoded = make(training, both_orders=both_orders, on_progress=counted)
    held_out, encoded_validation = make(validation, both_orders=False, on_progress=counted)
    # In both orders where they differ, each an example of its own, since of an example the first order is judged.
    orders = [order for row in calibration for order in ((row,) if pointwise else row.orders)]
    set_aside, _ = make(orders, both_orders=False, on_progress=counted)
    noun = "answer" if pointwise else "comparison"
    tell(f"Training rows: {len(training):,}. {CutReport.of(encoded, noun)}")
    tell(f"Validation rows: {len(validation):,}. {CutReport.of(encoded_validation, noun)}")
    if calibration:
        tell(f"Calibration rows: {len(calibration):,}.")

    warn_of_shared_prompts(votes, tell)
    digest = digest_of([*examples, *held_out, *set_aside])
    if resume:
        refuse_other_data(folder, digest)

    with quiet_loading():
        model = build_model(
            recipe.model, recipe.lora, tie_parameter=_first_tie_parameter(training), seed=recipe.training.seed,
            device=device, tell=tell,
        )  # fmt: skip
    fuse(model, compute_dtype)
    refuse_longer_than_context(model, recipe.text.max_length)
    tokens = _tokens_per_pass(model, recipe.training, examples, compute_dtype, tell)
    relieve = partial(checkpoint_layers, model, layer_count(model))
    budget = TokenBudget(tokens, tell, relieve if recipe.training.gradient_checkpointing == "auto" else None)
    if process_index() == 0:  # not before: a mistake in data or model leaves no folder behind
        folder.begin(dump_recipe(recipe))
        write_json(folder.environment, describe_environment(recipe.training.seed) | {"data_digest": digest})
    with _clear_beginning(folder):
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
            go_on(trainer, checkpoint, tell)

    fitted = _calibrate(trainer, set_aside, calibration, recipe.data, tell) if calibration else None
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
    tell: Callable[[str], None],
) -> Calibration:  # fmt: skip
    """Fitted on rows whose orders, one of a pointwise head, are these examples; the same on every process."""
    judged = trainer.judge(examples).reshape(len(rows), -1, 3)
    judged[:, 1:] = judged[:, 1:, [1, 0, 2]]  # so that A is the same answer in both orders
    fitted = fit_calibration(
        judged, [_vote(row) for row in rows], [row.folded_prompt for row in rows], source=calibrated_on(settings)
    )
    tell(str(fitted))
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
    head = head_of(model)
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
    tell: Callable[[str], None],
) -> int:  # fmt: skip
    """As the recipe says, or as memory allows; decides on checkpointing too."""
    tokens = sorted(sum(len(ids) for ids in example.sequences) for example in examples)
    return measure_budget(
        model,
        compute_dtype,
        least=max(example.longest for example in examples),
        most=sum(tokens[-settings.batch_size :]),
        tokens=settings.tokens_per_pass,
        checkpointing=settings.gradient_checkpointing,
        tell=tell,
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
def _clear_beginning(folder: RunFolder) -> Iterator[None]:
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
