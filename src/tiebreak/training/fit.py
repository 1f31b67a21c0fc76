"""A recipe in, a run folder out: the one place where the recipe is taken apart for training."""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback, set_seed

from tiebreak.comparison import Comparison, Vote
from tiebreak.data import load_comparisons, split_by_prompt
from tiebreak.errors import MemoryBudgetError, ModelError, RecipeError
from tiebreak.judging import preference_metrics, write_predictions
from tiebreak.model import (
    JudgeCard,
    TokenBudget,
    add_adapter,
    continue_adapter,
    default_device,
    fuse,
    load_base,
    load_tokenizer,
    lora_config,
    read_card,
    reset_head,
    resolve_compute_dtype,
    save_trained,
)
from tiebreak.quiet import quiet_loading
from tiebreak.recipe import DataSection, LoraSection, ModelSection, Recipe, TrainingSection, dump_recipe, load_recipe
from tiebreak.run import RunFolder, write_json
from tiebreak.text import SEED_TEMPLATE, CutReport, Encoder, Template
from tiebreak.training.arguments import training_arguments
from tiebreak.training.batches import Example, digest_of, make_examples
from tiebreak.training.environment import describe_environment, process_count, process_index
from tiebreak.training.memory import measure_budget
from tiebreak.training.trainer import JudgeTrainer

if TYPE_CHECKING:
    from peft import PeftModel

logger = logging.getLogger(__name__)

MANY_ROWS = 5000
"""From so many rows on, tokenising them takes seconds."""


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to: its folder, and the validation metrics of the model it keeps."""

    folder: RunFolder
    metrics: dict[str, float]


def train(
    recipe: Recipe,
    *,
    resume: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
    tell: Callable[[str], None] = logger.info,
) -> TrainingResult:
    """Fine-tune a model into a judge and keep everything in the recipe's `output` folder.

    Args:
        recipe: every setting; `data.train` and `output` must be given.
        resume: go on from the last whole checkpoint of the run in that folder, with the same result as if it had
            never stopped. A finished run is left as it is. Where there is no run yet, one is begun, and `tell` told.
        callbacks: more callbacks for the transformers Trainer underneath.
        tell: called with one sentence at a time about what goes on.

    Returns:
        The folder, and the metrics on the validation rows (`tiebreak.judging.preference_metrics`).

    Raises:
        RecipeError: the recipe lacks something, or `resume` meets a run of another recipe.
        DataError: the votes cannot be used.
        ModelError: the base model cannot be had.
        RunError: the folder is taken, another process trains in it, or the disk is full.
        MemoryBudgetError: a single comparison does not fit into memory.
    """
    if recipe.data.train is None:
        raise RecipeError("There are no votes to learn from: give data.train=FILE (CSV, JSONL or Parquet).")
    if recipe.output is None:
        raise RecipeError("There is nowhere to keep the run: give output=runs/NAME.")
    folder = RunFolder(recipe.output)
    if resume and folder.holds_a_run:
        _refuse_another_recipe(recipe, folder)
        if folder.is_finished:
            tell(f"{folder} is finished already: nothing to do.")
            return TrainingResult(folder, json.loads(folder.metrics.read_text(encoding="utf-8")))
    elif resume:
        tell(f"{folder} holds no run to go on with: beginning one.")
    with folder.taken(resume=resume) if process_index() == 0 else nullcontext():
        return _train(recipe, folder, resume=resume, callbacks=callbacks, tell=tell)


def _train(
    recipe: Recipe,
    folder: RunFolder,
    *,
    resume: bool,
    callbacks: Sequence[TrainerCallback],
    tell: Callable[[str], None],
) -> TrainingResult:
    """`train`, in a folder that no other process trains in."""
    training, validation = _read(recipe.data, tell)

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
    template = Template(recipe.text.template) if recipe.text.template else SEED_TEMPLATE
    encoder = Encoder(tokenizer, template, recipe.text.max_length)
    if len(training) > MANY_ROWS:
        tell(f"Tokenising {len(training) + len(validation):,} comparisons.")
    examples, encoded = make_examples(training, encoder, both_orders=recipe.training.both_orders)
    held_out, encoded_validation = make_examples(validation, encoder, both_orders=False)
    tell(f"Training rows: {len(training):,}. {CutReport.of(encoded)}")
    tell(f"Validation rows: {len(validation):,}. {CutReport.of(encoded_validation)}")

    _warn_of_shared_prompts(training, validation, tell)
    digest = digest_of([*examples, *held_out])
    if resume:
        _refuse_other_data(folder, digest)

    with quiet_loading():
        model = _build_model(recipe.model, recipe.lora, seed=recipe.training.seed, device=device, tell=tell)
    fuse(model, compute_dtype)
    _refuse_longer_than_context(model, recipe.text.max_length)
    if process_index() == 0:  # not before: a mistake in data or model leaves no folder behind
        folder.begin(dump_recipe(recipe))
        write_json(folder.environment, describe_environment(recipe.training.seed) | {"data_digest": digest})
    budget = TokenBudget(_tokens_per_pass(model, recipe.training, examples, compute_dtype, tell), tell)
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
            callbacks=[*_recipe_callbacks(recipe.training, folder), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        _run(trainer, folder.latest_checkpoint() if resume else None, tell)

    probabilities = trainer.judge(held_out)
    metrics = preference_metrics(probabilities, [_vote(c) for c in validation])
    if process_index() == 0:
        card = JudgeCard(
            base_model=recipe.model.name,
            revision=recipe.model.revision,
            head=recipe.model.head,
            precision=recipe.model.precision,
            compute_dtype=recipe.model.compute_dtype,
            template=template.text,
            max_length=recipe.text.max_length,
            tokens_per_pass=budget.tokens,
        )
        save_trained(folder.model, model, tokenizer, card)
        write_predictions(folder.predictions, validation, probabilities)
        write_json(folder.metrics, metrics)
    return TrainingResult(folder, metrics)


def _refuse_another_recipe(recipe: Recipe, folder: RunFolder) -> None:
    """A run is resumed only with the recipe it was begun with: anything else would be neither of the two."""
    begun = load_recipe(folder.recipe).model_dump(mode="json")
    asked = recipe.model_dump(mode="json")
    changed = [
        f"{section}.{key} was {begun[section][key]!r}, now {value!r}"
        for section, values in asked.items()
        if isinstance(values, dict)
        for key, value in values.items()
        # How much goes through at once and who is told are no part of what is learned.
        if value != begun[section][key]
        and (section, key)
        not in {("training", free) for free in ("tokens_per_pass", "gradient_checkpointing", "report_to")}
    ]
    if changed:
        raise RecipeError(
            f"{folder} was begun with another recipe: {'; '.join(changed)}. Resume with the same one "
            f"(tiebreak train {folder.recipe} --resume), or start a new run with output=runs/NAME."
        )


def _refuse_other_data(folder: RunFolder, digest: str) -> None:
    """The order of the rows is drawn anew when a run is resumed: with other rows it would be another order."""
    if not folder.environment.exists():
        return
    begun = json.loads(folder.environment.read_text(encoding="utf-8")).get("data_digest", digest)
    if begun != digest:
        raise RecipeError(
            f"The votes are not those {folder} was begun with (their digest was {begun}, now {digest}). Put the files "
            "back as they were, or start a new run with output=runs/NAME."
        )


def _read(settings: DataSection, tell: Callable[[str], None]) -> tuple[list[Comparison], list[Comparison]]:
    """Comparisons to learn from and to validate on."""
    assert settings.train is not None
    votes = list(load_comparisons(settings.train, votes="required", problem_rows=settings.problem_rows, on_note=tell))
    if settings.validation is not None:
        validation = list(
            load_comparisons(settings.validation, votes="required", problem_rows=settings.problem_rows, on_note=tell)
        )
        validation = _sample(validation, settings.validation_rows, settings.seed, "data.validation_rows")
    else:
        rows, share = settings.validation_rows, settings.validation_share
        if rows is None and share is None:
            rows = max(1, min(1000, len(votes) // 10))
        votes, validation = split_by_prompt(votes, validation_rows=rows, validation_share=share, seed=settings.seed)
    return _sample(votes, settings.train_rows, settings.seed, "data.train_rows"), validation


def _sample(rows: list[Comparison], wanted: int | None, seed: int, key: str) -> list[Comparison]:
    """A random choice of so many rows, in their order; all of them where no number is asked for."""
    if wanted is None:
        return rows
    if wanted > len(rows):
        raise RecipeError(f"{key} asks for {wanted:,} rows where there are {len(rows):,}. Lower it or leave it out.")
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), wanted))]


def _total_steps(settings: TrainingSection, *, rows: int) -> int:
    if settings.max_steps > 0:
        return settings.max_steps
    return math.ceil(settings.num_train_epochs * math.ceil(rows / settings.batch_size))


def _warn_of_shared_prompts(
    training: Sequence[Comparison], validation: Sequence[Comparison], tell: Callable[[str], None]
) -> None:
    """A split never shares prompts; files that people split themselves often do, and validate too well."""
    known = {comparison.prompt[0] for comparison in training}
    shared = sum(comparison.prompt[0] in known for comparison in validation)
    if shared:
        tell(
            f"{shared:,} of {len(validation):,} validation rows have prompts that stand in training too: their score "
            "will be too good. Without data.validation, rows are split off by prompt."
        )


def _refuse_longer_than_context(model: PeftModel, max_length: int) -> None:
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and max_length > context:
        raise RecipeError(
            f"text.max_length is {max_length:,} tokens, the model was made for {context:,}: "
            f"set text.max_length={context} or less."
        )


def _build_model(
    settings: ModelSection, lora: LoraSection, *, seed: int, device: torch.device, tell: Callable[[str], None]
) -> PeftModel:
    """The base model with a fresh adapter, or with an earlier run's."""
    start = None if settings.start_from is None else RunFolder(settings.start_from)
    if start is not None:
        start.refuse_if_untrained()
        card = read_card(start.model)
        if card.base_model != settings.name:
            raise ModelError(
                f"{start} was trained on {card.base_model}, not on {settings.name}: set model.name to that."
            )
    if "name" not in settings.model_fields_set:
        tell("The recipe names no model, so the built-in nano is taken. Name another with model.name=NAME.")
    tell(f"Loading {settings.name} in {settings.precision}.")
    try:
        base = load_base(
            settings.name,
            revision=settings.revision,
            precision=settings.precision,
            compute_dtype=settings.compute_dtype,
            device=device,
            seed=seed,
        )
    except torch.OutOfMemoryError as error:
        raise MemoryBudgetError(
            f"{settings.name} in {settings.precision} does not fit into the memory of {device}. Take "
            "model.precision=nf4, a smaller model, or a GPU with more memory; see that no other process uses it."
        ) from error
    _refuse_layers_that_are_not_there(lora, base.config.num_hidden_layers)
    config = lora_config(**lora.model_dump())
    if start is None:
        if settings.reset_head:
            reset_head(base, seed)
        return add_adapter(base, config)
    model = continue_adapter(base, start.model, config)
    if settings.reset_head:
        reset_head(model, seed)
    tell(f"Going on from {start}{' with a fresh head' if settings.reset_head else ''}.")
    return model


def _refuse_layers_that_are_not_there(settings: LoraSection, layers: int) -> None:
    """PEFT leaves such layers out in silence, or finds nothing to adapt."""
    absent = [layer for layer in settings.layers_to_transform or () if layer >= layers]
    if absent:
        raise RecipeError(
            f"lora.layers_to_transform names {', '.join(map(str, absent))}: the model's layers are 0 to {layers - 1}."
        )


def _tokens_per_pass(
    model: PeftModel, settings: TrainingSection, examples: Sequence[Example], compute_dtype: torch.dtype,
    tell: Callable[[str], None],
) -> int:  # fmt: skip
    """As the recipe says, or as memory allows; decides on checkpointing too."""
    tokens = sorted(sum(len(ids) for ids in example.sequences) for example in examples)
    return measure_budget(
        model,
        compute_dtype,
        least=max(len(ids) for example in examples for ids in example.sequences),
        most=sum(tokens[-settings.batch_size :]),
        tokens=None if settings.tokens_per_pass == "auto" else settings.tokens_per_pass,
        checkpointing=None if settings.gradient_checkpointing == "auto" else settings.gradient_checkpointing,
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
    try:
        yield
    except torch.OutOfMemoryError as error:
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


def _run(trainer: JudgeTrainer, checkpoint: Path | None, tell: Callable[[str], None]) -> None:
    """Train from the start or from a checkpoint; one at which training had ended only has its best model loaded."""
    if checkpoint is None:
        trainer.train()
        return
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    best = checkpoint.with_name(f"checkpoint-{state['best_global_step']}")
    if best.is_dir() and process_index() == 0:
        # The Trainer noted a path, which is another one now if the run's folder was moved or named from elsewhere.
        write_json(checkpoint / "trainer_state.json", state | {"best_model_checkpoint": str(best)})
    control = state["stateful_callbacks"].get("TrainerControl", {}).get("args", {})
    tell(f"Going on from step {state['global_step']:,} of {state['max_steps']:,}.")
    if state["global_step"] < state["max_steps"] and not control.get("should_training_stop"):
        trainer.train(resume_from_checkpoint=str(checkpoint))
    else:  # the last step, or early stopping, was reached before
        trainer.restore(best if best.is_dir() and trainer.args.load_best_model_at_end else checkpoint)


def _vote(comparison: Comparison) -> Vote:
    assert comparison.vote is not None
    return comparison.vote
