"""How much goes through the GPU at once, found by measuring: tokens a pass, and layers that are checkpointed.

Memory grows in a straight line with the tokens of a pass, at one rate where every layer's activations are kept and at
a lower one where they are computed anew. A few small passes tell both lines. Of the choices that fit, the one that
should be the fastest is taken: a checkpointed layer costs a third more time, and every pass has a fixed price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

import numpy as np
import torch

from tiebreak.models import layer_stack, pack_logits
from tiebreak.text import pack

DEFAULT_TOKENS: Final = 8192
"""Tokens a pass where nothing is measured: on a CPU."""

MOST_TOKENS: Final = 16384
"""Beyond this a pass is no faster by the token."""

PASS_PRICE: Final = 400
"""What a pass costs whatever its size (weights dequantised, kernels launched), in tokens; about right on an H200."""

HEADROOM: Final = 0.92
"""Share of the memory that is planned with: the allocator's gaps take some of the rest."""


class Budget(NamedTuple):
    """What goes through at once."""

    tokens: int
    checkpointed: int
    """Layers of which the input alone is kept."""


class MemoryLine(NamedTuple):
    """Bytes at the peak of a pass: `fixed + tokens * rate`."""

    fixed: float
    rate: float


def choose_budget(
    kept: MemoryLine | None, checkpointed: MemoryLine, *, usable: float, layers: int, least: int, most: int,
    tokens: int | Literal["auto"], checkpointing: bool | Literal["auto"], partial: bool,
) -> Budget:  # fmt: skip
    """The fastest budget that fits; the smallest there is where none does.

    Args:
        kept: memory with every layer's activations kept; None where not even the smallest pass ran.
        checkpointed: memory with every layer checkpointed.
        usable: bytes there are.
        layers: decoder layers.
        least: tokens of the longest comparison.
        most: tokens of the largest step.
        tokens: tokens a pass, as the recipe has it.
        checkpointing: whether all layers or none are checkpointed, as the recipe has it.
        partial: whether some layers may be checkpointed and others not.
    """
    sizes = [tokens] if tokens != "auto" else _sizes(least, min(most, MOST_TOKENS))
    counts: Sequence[int] = range(layers + 1) if partial else (0, layers)
    if checkpointing != "auto":
        counts = (layers,) if checkpointing else (0,)

    def fits(size: int, count: int) -> bool:
        if count == layers:
            line = checkpointed
        elif kept is None:
            return False
        else:
            share = count / layers
            line = MemoryLine(*(share * c + (1 - share) * k for c, k in zip(checkpointed, kept, strict=True)))
        return line.fixed + size * line.rate <= usable

    def price(budget: Budget) -> float:
        return (1 + budget.checkpointed / layers / 3) * (1 + PASS_PRICE / budget.tokens)

    fitting = [Budget(size, count) for size in sizes for count in counts if fits(size, count)]
    return min(fitting, key=price, default=Budget(sizes[-1], counts[-1]))


def _sizes(least: int, most: int) -> list[int]:
    """Tokens a pass to choose from, the largest first, down to the longest comparison."""
    sizes, size = [], max(least, most)
    while size > least:
        sizes.append(size)
        size = int(size / 2**0.5)
    return [*sizes, least]


def search_budget(
    model: torch.nn.Module, compute_dtype: torch.dtype, *, least: int, most: int,
    tokens: int | Literal["auto"], checkpointing: bool | Literal["auto"], log: Callable[[str], None],
) -> Budget:  # fmt: skip
    """What fits this model on its device; sets the model's checkpointing accordingly.

    Args:
        model: ready to train.
        compute_dtype: the type of matrix products.
        least: tokens of the longest comparison.
        most: tokens of the largest step.
        tokens: tokens a pass, as the recipe has it.
        checkpointing: whether to checkpoint, as the recipe has it.
        tell: called with a sentence about the outcome, if anything was measured.
    """
    device = next(model.parameters()).device
    layers = layer_stack(model).trained_layers
    if device.type != "cuda" or (tokens != "auto" and checkpointing != "auto"):
        chosen = max(DEFAULT_TOKENS, least) if tokens == "auto" else tokens
        budget = Budget(chosen, layers if checkpointing is True else 0)
        layer_stack(model).checkpoint(budget.checkpointed)
        return budget
    with _no_trace(model):
        lines: list[MemoryLine | None] = []
        for count in (layers, 0):
            layer_stack(model).checkpoint(count)
            lines.append(_line(model, compute_dtype, device, least))
        checkpointed, kept = lines
        free, total = torch.cuda.mem_get_info(device)
        allowed = total * torch.cuda.get_per_process_memory_fraction(device)
        room = min(free + torch.cuda.memory_reserved(device), allowed)
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    usable = room * HEADROOM - 3 * trained  # the gradients, and two moments of the optimiser
    budget = choose_budget(
        kept, checkpointed or MemoryLine(0.0, float("inf")), usable=usable, layers=layers, least=least, most=most,
        tokens=tokens, checkpointing=checkpointing, partial=layer_stack(model).checkpoints_single_layers,
    )  # fmt: skip
    layer_stack(model).checkpoint(budget.checkpointed)
    log(
        f"Memory measured: {budget.tokens:,} tokens a pass, {budget.checkpointed} of {layers} layers checkpointed "
        f"({usable / 2**30:.1f} GiB to plan with)."
    )
    return budget


@contextmanager
def _no_trace(model: torch.nn.Module) -> Iterator[None]:
    """Leave gradients, random numbers and mode as they were."""
    state, was_training = torch.get_rng_state(), model.training
    cuda_state = torch.cuda.get_rng_state()
    model.train()
    try:
        yield
    finally:
        model.train(was_training)
        model.zero_grad(set_to_none=True)
        torch.set_rng_state(state)
        torch.cuda.set_rng_state(cuda_state)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _line(model: torch.nn.Module, compute_dtype: torch.dtype, device: torch.device, longest: int) -> MemoryLine | None:
    """Memory against tokens, by a small and a larger pass; None where they do not fit."""
    if layer_stack(model).checkpoints_single_layers:
        lengths: Sequence[Sequence[int]] = ([256, 256], [768, 768])
    else:  # attention of transformers' layers is quadratic in a sequence: a line by the longest one lies above the rest
        lengths = ([-(-longest // 2)], [longest])
    peaks = [_peak(model, compute_dtype, device, sequences) for sequences in lengths]
    small, large = peaks
    if small is None or large is None:
        return None
    first, second = (sum(sequences) for sequences in lengths)
    rate = (large - small) / (second - first)
    return MemoryLine(small - first * rate, rate)


def _peak(
    model: torch.nn.Module, compute_dtype: torch.dtype, device: torch.device, lengths: Sequence[int]
) -> float | None:
    """Bytes at the peak of a training pass over sequences of these lengths; None where they do not fit."""
    sequences = [np.full(length, 5, dtype=np.int32) for length in lengths]
    try:
        for _ in range(2):  # the first pass leaves gradients behind, which the second finds there
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            [item] = pack(sequences, tokens_per_pass=sum(lengths))
            torch.autograd.backward(pack_logits(model, item, compute_dtype).sum())
        return float(torch.cuda.max_memory_allocated(device))
    except torch.OutOfMemoryError:
        return None
