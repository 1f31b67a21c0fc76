"""Memory and time of training passes, computed from a model's shape and a GPU's data sheet.

Memory follows from exact counts of weights and of the activations that the layers keep (`tiebreak.models.fused.layer`).
Time is a sum over rates: matrix products, attention, memory traffic of the other kernels and dequantisation of 4-bit
weights. The shares of a GPU's peak rates were measured on an H200 (perf/speed.py) and are assumed for other GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from tiebreak.errors import ModelError
from tiebreak.training.budget_search import MemoryLine

GIB: Final = 2**30


class Gpu(NamedTuple):
    """A GPU, as in its data sheet."""

    memory: float
    """GiB"""
    dense: float
    """TFLOP/s of bf16 (T4: float16) matrix products"""
    fp8: float | None
    """TFLOP/s of FP8 matrix products; None without FP8"""
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
"""Share of the peak rate that matrix products of these shapes reach under load."""

_FP8_PRODUCTS: Final = 0.68
_TRAFFIC: Final = 0.85
"""Share of the bandwidth that kernels between the products reach."""

_ATTENTION: Final = (0.23, 0.14)
"""Share of the peak rate that attention reaches, forward and backward, at head dimension 256."""

_SIZES: Final = ("hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "vocab_size")

Precision = Literal["nf4", "int8", "fp8", "bf16", "fp16", "fp32"]

_BYTES: Final[dict[str, float]] = {"nf4": 0.516, "int8": 1.0, "fp8": 2.0, "bf16": 2.0, "fp16": 2.0, "fp32": 4.0}
"""Bytes per frozen weight: NF4 includes its scales, FP8 keeps both orientations."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder and its adapter."""

    hidden: int
    layers: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    adapted: int
    """LoRA weights of all layers."""
    ranks: int
    """Sum of the ranks of a layer's adapted matrices."""
    trained_layers: int
    """Layers that the backward pass visits: from the first adapted one on."""

    @classmethod
    def of(
        cls, config: Any, *, r: int, target_modules: Sequence[str] | str, adapted_layers: Sequence[int] | None = None
    ) -> Shape:
        """Read a transformers configuration and the recipe's adapter settings.

        Raises:
            ModelError: the configuration lacks sizes that decoders like Gemma and Llama have.
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
        """Output features of q, k and v together."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    @property
    def body(self) -> int:
        """Frozen weights of all linear layers."""
        attention = self.hidden * (self.qkv + self.heads * self.head_dim)
        return self.layers * (attention + 3 * self.hidden * self.feed_forward)


def uses_fused_layers(gpu: Gpu, precision: Precision) -> bool:
    """Whether a run on this GPU uses Tiebreak's fused layers, which this cost model was measured with."""
    return gpu is not GPUS["t4"] and precision not in ("int8", "fp32")


def resident_bytes(shape: Shape, precision: Precision) -> float:
    """Bytes of the weights of base and adapter."""
    embeddings = shape.vocabulary * shape.hidden * (4 if precision == "fp32" else 2)
    return shape.body * _BYTES[precision] + embeddings + 4 * shape.adapted


def memory_lines(shape: Shape, precision: Precision) -> tuple[MemoryLine, MemoryLine]:
    """Peak memory of a training pass without optimiser states: with all activations kept, with all checkpointed."""
    attended = shape.heads * shape.head_dim
    width = 4 if precision == "fp32" else 2  # bytes of an activation
    kept = width * (4 * shape.hidden + shape.qkv + attended + 2 * shape.feed_forward + shape.ranks) + 4 * shape.heads
    # Temporaries of a layer's backward pass: gradients of gate and up, and of their inputs and outputs.
    temporaries = width * (6 * shape.feed_forward + 12 * shape.hidden + 4 * shape.qkv)
    fixed = resident_bytes(shape, precision) + 4 * shape.adapted  # the gradients
    if precision == "nf4":
        fixed += 2 * shape.hidden * shape.feed_forward  # one dequantised weight
    inputs = width * shape.hidden
    return (
        MemoryLine(fixed, shape.trained_layers * kept),  # the backward pass frees as it goes
        MemoryLine(fixed, shape.trained_layers * inputs + kept + temporaries),
    )


def seconds_per_token(
    shape: Shape, precision: Precision, gpu: Gpu, lengths: Sequence[int], *, training: bool, checkpointed: float = 0.0
) -> float:
    """GPU seconds per token in a large pass, without dequantisation.

    Args:
        shape: of the model.
        precision: of the base weights.
        gpu: the GPU.
        lengths: tokens of the sequences; attention is quadratic in them.
        training: include the backward pass.
        checkpointed: share of the layers that are computed twice.
    """
    backward = shape.trained_layers / shape.layers if training else 0.0
    forward = 1 + checkpointed * backward
    rate = gpu.fp8 * _FP8_PRODUCTS if precision == "fp8" and gpu.fp8 else gpu.dense * _PRODUCTS
    products = 2 * shape.body / (rate * 1e12)
    lora = 2 * shape.adapted / (gpu.dense * _PRODUCTS * 1e12) * 3  # thin matrices: a third of the rate
    keys = sum(n * (n + 1) / 2 for n in lengths) / sum(lengths)
    attention = 4 * shape.layers * shape.heads * shape.head_dim * keys / (gpu.dense * 1e12)
    widths = 9 * shape.hidden + 4 * shape.feed_forward + 4 * shape.qkv
    traffic = 2 * shape.layers * widths / (gpu.bandwidth * _TRAFFIC * 1e12)
    time = forward * (products + lora + attention / _ATTENTION[0] + traffic)
    return time + backward * (products + 2 * lora + 2.5 * attention / _ATTENTION[1] + 2.5 * traffic)


def seconds_per_pass(
    shape: Shape, precision: Precision, gpu: Gpu, *, training: bool, checkpointed: float = 0.0
) -> float:
    """Fixed cost of a pass: every 4-bit weight is dequantised once forward and once backward."""
    if precision != "nf4":
        return 0.0
    times = 1 + checkpointed + training
    return times * shape.body * (_BYTES["nf4"] + 2) / (gpu.bandwidth * 0.7 * 1e12)
