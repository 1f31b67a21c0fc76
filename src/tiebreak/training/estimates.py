"""Will it fit, and how long will it take: memory and time of a run from shapes, before anything is loaded.

Memory follows from what is kept (`tiebreak.models.fused.layer`): exact counts of weights and activations. Time is
arithmetic over rates: products, attention, the traffic of everything between them, 4-bit weights turned back, and what
the host needs for a pass. The shares of a card's peak that are reached were measured on an H200 (perf/speed.py); for
other cards they are taken to be the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, Literal, NamedTuple

from tiebreak.data import load_comparisons
from tiebreak.errors import ModelError, RecipeError
from tiebreak.models import load_config, load_tokenizer
from tiebreak.recipe import DataSection, Recipe
from tiebreak.text import pack, resolve_template
from tiebreak.training.batches import Example, example_maker
from tiebreak.training.budget_search import HEADROOM, Budget, MemoryLine, choose_budget

GIB: Final = 2**30

_SAMPLE: Final = 2000
"""Comparisons that are tokenised to know the lengths of all."""

_ASSUMED_ROWS: Final = 10_000
"""Comparisons where the recipe names no votes."""


class Gpu(NamedTuple):
    """A card, by its maker's data sheet."""

    memory: float
    """GiB"""
    dense: float
    """TFLOP/s of bf16 (T4: float16) products"""
    fp8: float | None
    """TFLOP/s of FP8 products"""
    bandwidth: float
    """TB/s"""


GPUS: Final = {
    "t4": Gpu(15, 65, None, 0.32),
    "l4": Gpu(22.5, 121, 242, 0.30),
    "a10": Gpu(22.5, 125, None, 0.60),
    "rtx3090": Gpu(24, 71, None, 0.94),
    "rtx4090": Gpu(24, 165, 330, 1.01),
    "l40s": Gpu(45, 362, 733, 0.86),
    "a100-40": Gpu(40, 312, None, 1.56),
    "a100": Gpu(80, 312, None, 2.04),
    "h100": Gpu(80, 989, 1979, 3.35),
    "h200": Gpu(141, 989, 1979, 4.80),
}

_PRODUCTS: Final = 0.70
"""Share of a card's peak that products of these shapes reach under load."""

_FP8_PRODUCTS: Final = 0.68
_TRAFFIC: Final = 0.85
"""Share of the bandwidth that kernels between the products reach."""

_ATTENTION: Final = (0.23, 0.14)
"""Share of the peak that attention's useful work reaches, forwards and backwards, at head dimension 256."""

_HOST: Final = 0.19
"""Seconds the host needs for a training pass of 42 layers; a pass cannot be quicker."""

_STEP: Final = 0.07
"""Seconds the optimiser and the Trainer need for a step of 42 layers."""

_GEMMA2: Final = {
    "google/gemma-2-2b": (2304, 26, 9216, 8, 4, 256),
    "google/gemma-2-9b": (3584, 42, 14336, 16, 8, 256),
    "google/gemma-2-27b": (4608, 46, 36864, 32, 16, 128),
}
"""Hidden size, layers, intermediate size, heads, key/value heads, head dimension: planning needs no licence."""

_SIZES: Final = ("hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "vocab_size")

Precision = Literal["nf4", "int8", "fp8", "bf16", "fp16", "fp32"]

_BYTES: Final[dict[str, float]] = {"nf4": 0.516, "int8": 1.0, "fp8": 2.0, "bf16": 2.0, "fp16": 2.0, "fp32": 4.0}
"""Bytes a frozen weight takes: in 4 bits with its scales, in FP8 in both orientations."""


@dataclass(frozen=True)
class Shape:
    """A decoder's sizes, and the adapter's on top."""

    hidden: int
    layers: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    adapted: int
    """LoRA's weights in all layers."""
    ranks: int
    """Ranks of all adapted matrices of a layer."""
    trained_layers: int
    """Layers from the first adapted one on: those the backward pass goes through."""

    @classmethod
    def of(
        cls, config: Any, *, r: int, target_modules: Sequence[str] | str, adapted_layers: Sequence[int] | None = None
    ) -> Shape:
        """From a transformers configuration and the recipe's adapter.

        Raises:
            ModelError: the configuration does not name its sizes as Gemma's and Llama's kin do.
        """
        absent = [name for name in _SIZES if not isinstance(getattr(config, name, None), int)]
        if absent:
            raise ModelError(
                f"A {getattr(config, 'model_type', 'model')} cannot be planned: its configuration has no "
                f"{', '.join(absent)}. Plans are made for decoders shaped like Gemma's, Llama's and Qwen's."
            )
        heads = config.num_attention_heads
        dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        c, f = config.hidden_size, config.intermediate_size
        linear = {
            "q_proj": (c, heads * dim), "k_proj": (c, kv_heads * dim), "v_proj": (c, kv_heads * dim),
            "o_proj": (heads * dim, c), "gate_proj": (c, f), "up_proj": (c, f), "down_proj": (f, c),
        }  # fmt: skip
        names = list(linear) if target_modules == "all-linear" else [n for n in linear if n in target_modules]
        layers = config.num_hidden_layers
        chosen = [layer for layer in adapted_layers or range(layers) if layer < layers]
        return cls(
            hidden=c, layers=layers, feed_forward=f, heads=heads, kv_heads=kv_heads, head_dim=dim,
            vocabulary=config.vocab_size, ranks=r * len(names),
            adapted=len(chosen) * sum(r * sum(linear[name]) for name in names),
            trained_layers=layers - min(chosen, default=0),
        )  # fmt: skip

    @property
    def qkv(self) -> int:
        """Columns of q, k and v together."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    @property
    def body(self) -> int:
        """Frozen weights of all linear layers."""
        attention = self.hidden * (self.qkv + self.heads * self.head_dim)
        return self.layers * (attention + 3 * self.hidden * self.feed_forward)


def runs_own_layers(gpu: Gpu, precision: Precision) -> bool:
    """Whether a run on this card computes its layers by Tiebreak's kernels, which everything here was measured with."""
    return gpu is not GPUS["t4"] and precision not in ("int8", "fp32")


def resident_bytes(shape: Shape, precision: Precision) -> float:
    """Weights of base and adapter, before anything is computed."""
    embeddings = shape.vocabulary * shape.hidden * (4 if precision == "fp32" else 2)
    return shape.body * _BYTES[precision] + embeddings + 4 * shape.adapted


def memory_lines(shape: Shape, precision: Precision) -> tuple[MemoryLine, MemoryLine]:
    """Peak of a training pass, without the optimiser: with every activation kept, and with every layer checkpointed."""
    attended = shape.heads * shape.head_dim
    width = 4 if precision == "fp32" else 2  # bytes of an activation
    kept = width * (4 * shape.hidden + shape.qkv + attended + 2 * shape.feed_forward + shape.ranks) + 4 * shape.heads
    # What lives for a moment in a layer's backward pass: gradients of gate and up, of what comes before and after them.
    passing = width * (6 * shape.feed_forward + 12 * shape.hidden + 4 * shape.qkv)
    fixed = resident_bytes(shape, precision) + 4 * shape.adapted  # the gradients
    if precision == "nf4":
        fixed += 2 * shape.hidden * shape.feed_forward  # one weight turned back
    inputs = width * shape.hidden
    return (
        MemoryLine(fixed, shape.trained_layers * kept),  # the backward pass frees as it goes
        MemoryLine(fixed, shape.trained_layers * inputs + kept + passing),
    )


def seconds_a_token(
    shape: Shape, precision: Precision, gpu: Gpu, lengths: Sequence[int], *, training: bool, checkpointed: float = 0.0
) -> float:
    """GPU time of a token in a large pass, the price of 4-bit weights aside.

    Args:
        shape: the model's.
        precision: how its base is held.
        gpu: the card.
        lengths: tokens of the sequences; attention is quadratic in them.
        training: backwards too.
        checkpointed: share of the layers computed twice.
    """
    backwards = shape.trained_layers / shape.layers if training else 0.0
    forwards = 1 + checkpointed * backwards
    rate = gpu.fp8 * _FP8_PRODUCTS if precision == "fp8" and gpu.fp8 else gpu.dense * _PRODUCTS
    products = 2 * shape.body / (rate * 1e12)
    lora = 2 * shape.adapted / (gpu.dense * _PRODUCTS * 1e12) * 3  # thin matrices: a third of the rate
    keys = sum(n * (n + 1) / 2 for n in lengths) / sum(lengths)
    attention = 4 * shape.layers * shape.heads * shape.head_dim * keys / (gpu.dense * 1e12)
    widths = 9 * shape.hidden + 4 * shape.feed_forward + 4 * shape.qkv
    traffic = 2 * shape.layers * widths / (gpu.bandwidth * _TRAFFIC * 1e12)
    time = forwards * (products + lora + attention / _ATTENTION[0] + traffic)
    return time + backwards * (products + 2 * lora + 2.5 * attention / _ATTENTION[1] + 2.5 * traffic)


def seconds_a_pass(shape: Shape, precision: Precision, gpu: Gpu, *, training: bool, checkpointed: float = 0.0) -> float:
    """What a pass costs whatever its size: every 4-bit weight turned back, once each way."""
    if precision != "nf4":
        return 0.0
    times = 1 + checkpointed + training
    return times * shape.body * (_BYTES["nf4"] + 2) / (gpu.bandwidth * 0.7 * 1e12)


@dataclass(frozen=True)
class Plan:
    """What a run will need."""

    fits: bool
    budget: Budget
    peak_bytes: float
    usable_bytes: float
    tokens_per_second: float
    """In training, validation aside."""
    training_seconds: float
    validation_seconds: float


def make_plan(
    shape: Shape, precision: Precision, gpu: Gpu, *, step_lengths: Sequence[Sequence[int]],
    validation_lengths: Sequence[int], epochs: float, evaluations: int,
    tokens: int | Literal["auto"], checkpointing: bool | Literal["auto"], fused: bool = True,
    least: int | None = None,
) -> Plan:  # fmt: skip
    """Memory and time of a run on one card.

    Args:
        shape: the model's and the adapter's.
        precision: how the base is held.
        gpu: the card.
        step_lengths: for each step of an epoch the tokens of its sequences.
        validation_lengths: tokens of each validation comparison.
        epochs: how often the steps are taken.
        evaluations: how often it is validated.
        tokens: tokens a pass, as the recipe has it.
        checkpointing: whether to checkpoint, as the recipe has it.
        fused: whether layers are computed by Tiebreak's kernels; transformers' are checkpointed all or none.
        least: tokens a pass must hold; by default those of the longest sequence.
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
    token = seconds_a_token(shape, precision, gpu, lengths, training=True, checkpointed=share)
    price = seconds_a_pass(shape, precision, gpu, training=True, checkpointed=share)
    host = _HOST * shape.layers / 42 * (1 + share / 3)
    once = 0.0
    for step in step_lengths:
        passes = -(-sum(step) // budget.tokens)
        once += passes * max(sum(step) / passes * token + price, host) + _STEP * shape.layers / 42
    judging = seconds_a_token(shape, precision, gpu, validation_lengths or [1], training=False)
    return Plan(
        fits=peak <= usable,
        budget=budget,
        peak_bytes=peak,
        usable_bytes=usable,
        tokens_per_second=sum(lengths) / once,
        training_seconds=epochs * once,
        validation_seconds=evaluations * sum(validation_lengths) * judging,
    )


def _tokens(example: Example) -> list[int]:
    """Tokens of a comparison's first order, and those its second adds: what they share is computed once."""
    sequences = example.sequences
    together = pack(sequences, tokens_per_pass=sum(map(len, sequences)), groups=[0] * len(sequences))
    first = len(sequences[0])
    rest = sum(len(item.input_ids) for item in together) - first
    return [first, rest] if rest else [first]


def _config(name: str, revision: str | None) -> Any:
    if name not in _GEMMA2:
        return load_config(name, revision)
    keys = ("hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    values = _GEMMA2[name]
    return SimpleNamespace(**dict(zip(keys, values[:5], strict=True)), head_dim=values[5], vocab_size=256_000)


def _held_out(rows: int, settings: DataSection) -> int:
    """Rows that are split off for validation; prompts that stand several times may make it a few more or less."""
    if settings.validation_share is not None:
        return max(1, round(settings.validation_share * rows))
    return settings.validation_rows or max(1, min(1000, rows // 10))


def _set_aside(rows: int, settings: DataSection) -> int:
    """Rows that are split off for calibration; likewise."""
    if settings.calibration is not None:
        return 0
    if settings.calibration_share is not None:
        return max(1, round(settings.calibration_share * rows))
    return settings.calibration_rows or 0


def plan_run(recipe: Recipe, gpu: Gpu, log: Callable[[str], None]) -> Plan:
    """The plan of a recipe on a card, by the lengths of a sample of its votes, or of LMSYS's where it names none.

    Raises:
        DataError: the votes cannot be used.
        ModelError: the model's configuration or tokenizer cannot be had, or is of a kind that cannot be planned.
        RecipeError: FP8 on a card that has no such products.
    """
    settings = recipe.training
    config = _config(recipe.model.name, recipe.model.revision)
    if recipe.model.precision == "fp8" and gpu.fp8 is None:
        raise RecipeError(
            "model.precision=fp8 needs a card of Ada's or Hopper's generation or later: take nf4 or bf16."
        )
    shape = Shape.of(
        config, r=recipe.lora.r, target_modules=recipe.lora.target_modules,
        adapted_layers=recipe.lora.layers_to_transform,
    )  # fmt: skip
    rng = random.Random(settings.seed)
    if recipe.data.train is None:
        validation = recipe.data.validation_rows or _held_out(_ASSUMED_ROWS, recipe.data)
        rows = recipe.data.train_rows or _ASSUMED_ROWS
        log(f"No data.train: taking {rows:,} comparisons in the lengths of LMSYS's votes (median 562 tokens).")
        longest = recipe.text.max_length
        sample = [[min(longest, round(rng.lognormvariate(math.log(562), 0.62)))] for _ in range(min(rows, _SAMPLE))]
        if settings.both_orders:
            sample = [[n, n] for [n] in sample]
    else:
        votes = load_comparisons(recipe.data.train, votes="required", problem_rows="skip", on_note=log)
        if recipe.data.validation is None:
            validation = _held_out(len(votes), recipe.data)
            rows = len(votes) - validation
        else:
            held_out = load_comparisons(
                recipe.data.validation, votes="required", problem_rows="skip", on_note=log
            )  # fmt: skip
            validation = recipe.data.validation_rows or len(held_out)
            rows = len(votes)
        rows = recipe.data.train_rows or max(1, rows - _set_aside(len(votes), recipe.data))
        tokenizer = load_tokenizer(recipe.model.name, recipe.model.revision)
        template = resolve_template(recipe.text.template, recipe.model.head)
        make = example_maker(tokenizer, template, max_length=recipe.text.max_length)
        chosen = rng.sample(list(votes), min(len(votes), rows, _SAMPLE))
        examples, _ = make(chosen, both_orders=settings.both_orders, on_progress=None)
        sample = [_tokens(example) for example in examples]
    drawn = [rng.choice(sample) for _ in range(rows)] if rows > len(sample) else sample[:rows]
    batches = [drawn[i : i + settings.batch_size] for i in range(0, rows, settings.batch_size)]
    steps = len(batches)
    # Both answers of a comparison share a pass and are judged; of both orders one is, and each may have its own pass.
    judged = sum if recipe.model.head == "pointwise" else max
    epochs = settings.max_steps / steps if settings.max_steps > 0 else settings.num_train_epochs
    every = settings.eval_steps or settings.save_steps
    return make_plan(
        shape,
        recipe.model.precision,
        gpu,
        step_lengths=[[n for example in batch for n in example] for batch in batches],
        validation_lengths=[judged(rng.choice(sample)) for _ in range(validation)],
        least=max(map(judged, sample)),
        epochs=epochs,
        evaluations=round(1 / every) if every < 1 else int(epochs * steps // every),
        tokens=settings.tokens_per_pass,
        checkpointing=settings.gradient_checkpointing,
        fused=runs_own_layers(gpu, recipe.model.precision),
    )
