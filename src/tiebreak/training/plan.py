"""Plan a recipe on a GPU: whether it fits and how long it takes, before the model is loaded."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, Literal

from tiebreak.errors import DataError, RecipeError
from tiebreak.models import check_base, load_text_config
from tiebreak.recipe import DataSection, Recipe
from tiebreak.text import pack, resolve_template
from tiebreak.training.batches import Example, example_maker
from tiebreak.training.budget_search import HEADROOM, Budget, choose_budget
from tiebreak.training.cost_model import (
    GIB,
    Gpu,
    Precision,
    Shape,
    memory_lines,
    seconds_per_pass,
    seconds_per_token,
    uses_fused_layers,
)
from tiebreak.training.tokenised_votes import base_tokenizer
from tiebreak.training.vote_sources import load_rows, load_train_rows

_SAMPLE_SIZE: Final = 2000
"""Comparisons that are tokenised to estimate the lengths of all."""

_ASSUMED_ROWS: Final = 10_000
"""Comparisons if the recipe names no votes."""

_ASSUMED_LENGTHS: Final = (math.log(562), 0.62)
"""Mean and standard deviation of the logarithm of the tokens in a comparison of LMSYS's votes."""

_HOST_SECONDS: Final = 0.19
"""Host time of a training pass with 42 layers; a pass cannot be faster."""

_STEP_SECONDS: Final = 0.07
"""Time of the optimiser and the Trainer per step, with 42 layers."""

_GEMMA2: Final = {
    "google/gemma-2-2b": (2304, 26, 9216, 8, 4, 256),
    "google/gemma-2-9b": (3584, 42, 14336, 16, 8, 256),
    "google/gemma-2-27b": (4608, 46, 36864, 32, 16, 128),
}
"""Hidden size, layers, intermediate size, heads, key/value heads, head dimension: known here because the configurations
cannot be downloaded before Google's license is accepted."""


@dataclass(frozen=True)
class Plan:
    """Estimated memory and time of a run."""

    fits: bool
    budget: Budget
    peak_bytes: float
    usable_bytes: float
    tokens_per_second: float
    """While training, without validation."""
    training_seconds: float
    validation_seconds: float


def plan_run(recipe: Recipe, gpu: Gpu, log: Callable[[str], None]) -> Plan:
    """Plan a recipe on one GPU, with the lengths of a sample of its votes, or of LMSYS's if it names none.

    Raises:
        DataError: the votes cannot be used.
        ModelError: the model's configuration or tokenizer cannot be loaded, or is of an unknown kind.
        RecipeError: FP8 on a GPU without FP8 matrix products.
    """
    settings = recipe.training
    config = _load_config(recipe.model.name, recipe.model.revision)
    if recipe.model.name not in _GEMMA2:
        check_base(
            recipe.model.name, recipe.model.revision, precision=recipe.model.precision,
            max_length=recipe.text.max_length,
        )  # fmt: skip
    if recipe.model.precision == "fp8" and gpu.fp8 is None:
        raise RecipeError("model.precision=fp8 needs a GPU of the Ada or Hopper generation or later: use nf4 or bf16.")
    shape = Shape.of(
        config, r=recipe.lora.r, target_modules=recipe.lora.target_modules,
        adapted_layers=recipe.lora.layers_to_transform,
    )  # fmt: skip
    rng = random.Random(settings.seed)
    lengths = (_assumed_lengths if recipe.data.train is None else _measured_lengths)(recipe, rng, log)
    rows = lengths.training_rows
    drawn = [rng.choice(lengths.sample) for _ in range(rows)] if rows > len(lengths.sample) else lengths.sample[:rows]
    batches = [drawn[i : i + settings.batch_size] for i in range(0, rows, settings.batch_size)]
    # A pointwise head judges both answers in one pass. A pairwise head judges one order, each in a pass of its own.
    tokens_judged = sum if recipe.model.head == "pointwise" else max
    epochs = settings.max_steps / len(batches) if settings.max_steps > 0 else settings.num_train_epochs
    interval = settings.eval_steps or settings.save_steps
    return make_plan(
        shape,
        recipe.model.precision,
        gpu,
        step_lengths=[[n for example in batch for n in example] for batch in batches],
        validation_lengths=[tokens_judged(rng.choice(lengths.sample)) for _ in range(lengths.validation_rows)],
        least=max(map(tokens_judged, lengths.sample)),
        epochs=epochs,
        evaluations=round(1 / interval) if interval < 1 else int(epochs * len(batches) // interval),
        tokens=settings.tokens_per_pass,
        checkpointing=settings.gradient_checkpointing,
        fused=uses_fused_layers(gpu, recipe.model.precision),
    )


def make_plan(
    shape: Shape, precision: Precision, gpu: Gpu, *, step_lengths: Sequence[Sequence[int]],
    validation_lengths: Sequence[int], epochs: float, evaluations: int,
    tokens: int | Literal["auto"], checkpointing: bool | Literal["auto"], fused: bool = True,
    least: int | None = None,
) -> Plan:  # fmt: skip
    """Plan a run of given lengths.

    Args:
        shape: of the model and the adapter.
        precision: of the base weights.
        gpu: the GPU.
        step_lengths: for each step of an epoch, the tokens of its sequences.
        validation_lengths: tokens of each validation comparison.
        epochs: the number of epochs.
        evaluations: the number of validations.
        tokens: tokens per pass, as in the recipe.
        checkpointing: gradient checkpointing, as in the recipe.
        fused: whether the layers are Tiebreak's; transformers' layers are checkpointed all or none.
        least: tokens that a pass must hold; by default those of the longest sequence.
    """
    kept, checkpointed = memory_lines(shape, precision)
    usable = gpu.memory * GIB * HEADROOM - 8 * shape.adapted  # two moments of the optimiser
    lengths = [n for step in step_lengths for n in step]
    budget = choose_budget(
        kept, checkpointed, usable=usable, layers=shape.trained_layers, least=least or max(lengths),
        most=max(map(sum, step_lengths)), tokens=tokens, checkpointing=checkpointing, partial=fused,
    )  # fmt: skip
    share = budget.checkpointed / shape.trained_layers
    peak = sum(
        weight * (line.fixed + budget.tokens * line.rate) for weight, line in ((share, checkpointed), (1 - share, kept))
    )
    epoch = _seconds_per_epoch(shape, precision, gpu, step_lengths, budget.tokens, share)
    judging = seconds_per_token(shape, precision, gpu, validation_lengths or [1], training=False)
    return Plan(
        fits=peak <= usable,
        budget=budget,
        peak_bytes=peak,
        usable_bytes=usable,
        tokens_per_second=sum(lengths) / epoch,
        training_seconds=epochs * epoch,
        validation_seconds=evaluations * sum(validation_lengths) * judging,
    )


def _seconds_per_epoch(
    shape: Shape, precision: Precision, gpu: Gpu, step_lengths: Sequence[Sequence[int]], tokens_per_pass: int,
    checkpointed: float,
) -> float:  # fmt: skip
    """Training time of an epoch; `checkpointed` is a share of the layers."""
    lengths = [n for step in step_lengths for n in step]
    per_token = seconds_per_token(shape, precision, gpu, lengths, training=True, checkpointed=checkpointed)
    per_pass = seconds_per_pass(shape, precision, gpu, training=True, checkpointed=checkpointed)
    host = _HOST_SECONDS * shape.layers / 42 * (1 + checkpointed / 3)
    seconds = 0.0
    for step in step_lengths:
        passes = -(-sum(step) // tokens_per_pass)
        seconds += passes * max(sum(step) / passes * per_token + per_pass, host) + _STEP_SECONDS * shape.layers / 42
    return seconds


@dataclass(frozen=True)
class _Lengths:
    """The sizes of a run's data."""

    sample: list[list[int]]
    """[sampled comparisons][sequences] tokens, as `_tokens` counts them."""
    training_rows: int
    validation_rows: int


def _assumed_lengths(recipe: Recipe, rng: random.Random, log: Callable[[str], None]) -> _Lengths:
    """Lengths distributed as in LMSYS's votes."""
    validation = recipe.data.validation_rows or _rows_split_off(_ASSUMED_ROWS, recipe.data)
    rows = recipe.data.train_rows or _ASSUMED_ROWS
    log(f"No data.train: assuming {rows:,} comparisons with the lengths of LMSYS's votes (median 562 tokens).")
    longest = recipe.text.max_length
    sample = [
        [min(longest, round(rng.lognormvariate(*_ASSUMED_LENGTHS)))] for _ in range(min(rows, _SAMPLE_SIZE))
    ]  # fmt: skip
    if recipe.training.both_orders:
        sample = [[n, n] for [n] in sample]
    return _Lengths(sample, rows, validation)


def _measured_lengths(recipe: Recipe, rng: random.Random, log: Callable[[str], None]) -> _Lengths:
    """Lengths of a sample of the recipe's votes."""
    data = recipe.data
    lenient = data.model_copy(update={"problem_rows": "skip"})
    votes, _ = load_train_rows(lenient, log)
    if data.validation is None:
        validation = _rows_split_off(len(votes), data)
        rows = len(votes) - validation
    else:
        held_out = load_rows(data.validation, lenient, log)
        validation = data.validation_rows or len(held_out)
        rows = len(votes)
    counted = [row for row in votes if row.weight]  # training leaves the others out
    if not counted:
        raise DataError(f"{data.train}: all {len(votes):,} rows have weight 0. Give weights above 0.")
    rows = data.train_rows or max(1, rows - _rows_set_aside(len(votes), data))
    rows = max(1, round(rows * len(counted) / len(votes)))
    tokenizer = base_tokenizer(recipe)
    template = resolve_template(recipe.text.template, recipe.model.head, tokenizer)
    make = example_maker(tokenizer, template, max_length=recipe.text.max_length)
    chosen = rng.sample(counted, min(len(counted), rows, _SAMPLE_SIZE))
    examples, _ = make(chosen, both_orders=recipe.training.both_orders, on_progress=None)
    return _Lengths([_tokens(example) for example in examples], rows, validation)


def _tokens(example: Example) -> list[int]:
    """Tokens of a comparison's first sequence, and those that the second adds: a shared prefix is computed once."""
    sequences = example.sequences
    packs = pack(sequences, tokens_per_pass=sum(map(len, sequences)), groups=[0] * len(sequences))
    first = len(sequences[0])
    rest = sum(len(item.input_ids) for item in packs) - first
    return [first, rest] if rest else [first]


def _rows_split_off(rows: int, settings: DataSection) -> int:
    """Rows that are split off for validation; prompts that occur several times change it slightly."""
    if settings.validation_share is not None:
        return max(1, round(settings.validation_share * rows))
    return settings.validation_rows or max(1, min(1000, rows // 10))


def _rows_set_aside(rows: int, settings: DataSection) -> int:
    """Rows that are split off for calibration."""
    if settings.calibration is not None:
        return 0
    if settings.calibration_share is not None:
        return max(1, round(settings.calibration_share * rows))
    return settings.calibration_rows or 0


def _load_config(name: str, revision: str | None) -> Any:
    if name not in _GEMMA2:
        return load_text_config(name, revision)
    hidden, layers, intermediate, heads, kv_heads, head_dim = _GEMMA2[name]
    return SimpleNamespace(
        hidden_size=hidden, num_hidden_layers=layers, intermediate_size=intermediate, num_attention_heads=heads,
        num_key_value_heads=kv_heads, head_dim=head_dim, vocab_size=256_000,
    )  # fmt: skip
