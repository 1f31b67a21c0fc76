"""Find out how much a pass can hold: tokens per pass, and layers that are checkpointed.

Peak memory is linear in the tokens of a pass, with one slope if all activations are kept and a smaller one if they are
recomputed. A few small passes measure both lines. Of the choices that fit, the one that should be fastest is used: a
checkpointed layer takes a third more time, and every pass has a fixed cost.
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
"""Tokens per pass without measurement: on a CPU."""

MOST_TOKENS: Final = 16384
"""Larger passes are not faster per token."""

PASS_COST: Final = 400
"""Fixed cost of a pass (dequantisation, kernel launches) in tokens, as on an H200."""

HEADROOM: Final = 0.92
"""Share of the memory that may be used; fragmentation takes some of the rest."""


class Budget(NamedTuple):
    """The size of a pass."""

    tokens: int
    checkpointed: int
    """Layers that keep their input only."""


class MemoryLine(NamedTuple):
    """Peak memory of a pass in bytes: `fixed + tokens * rate`."""

    fixed: float
    rate: float


def choose_budget(
    kept: MemoryLine | None, checkpointed: MemoryLine, *, usable: float, layers: int, least: int, most: int,
    tokens: int | Literal["auto"], checkpointing: bool | Literal["auto"], partial: bool,
) -> Budget:  # fmt: skip
    """The fastest budget that fits; the smallest one if none does.

    Args:
        kept: memory if all activations are kept; None if not even the smallest pass fits.
        checkpointed: memory if all layers are checkpointed.
        usable: available bytes.
        layers: decoder layers.
        least: tokens of the longest comparison.
        most: tokens of the largest step.
        tokens: tokens per pass, as in the recipe.
        checkpointing: whether all layers or none are checkpointed, as in the recipe.
        partial: whether a part of the layers may be checkpointed.
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

    def cost(budget: Budget) -> float:
        return (1 + budget.checkpointed / layers / 3) * (1 + PASS_COST / budget.tokens)

    fitting = [Budget(size, count) for size in sizes for count in counts if fits(size, count)]
    return min(fitting, key=cost, default=Budget(sizes[-1], counts[-1]))


def _sizes(least: int, most: int) -> list[int]:
    """Candidate sizes of a pass in tokens, from the largest down to the longest comparison."""
    sizes, size = [], max(least, most)
    while size > least:
        sizes.append(size)
        size = int(size / 2**0.5)
    return [*sizes, least]


def search_budget(
    model: torch.nn.Module, compute_dtype: torch.dtype, *, least: int, most: int,
    tokens: int | Literal["auto"], checkpointing: bool | Literal["auto"], log: Callable[[str], None],
) -> Budget:  # fmt: skip
    """The budget that fits this model on its device; sets the model's checkpointing accordingly.

    Args:
        model: the model to train.
        compute_dtype: the type of matrix products.
        least: tokens of the longest comparison.
        most: tokens of the largest step.
        tokens: tokens per pass, as in the recipe.
        checkpointing: gradient checkpointing, as in the recipe.
        log: called with a sentence about the result if memory was measured.
    """
    device = next(model.parameters()).device
    layers = layer_stack(model).trained_layers
    if device.type != "cuda" or (tokens != "auto" and checkpointing != "auto"):
        chosen = max(DEFAULT_TOKENS, least) if tokens == "auto" else tokens
        budget = Budget(chosen, layers if checkpointing is True else 0)
        layer_stack(model).checkpoint(budget.checkpointed)
        return budget
    with _restored_state(model):
        lines: list[MemoryLine | None] = []
        for count in (layers, 0):
            layer_stack(model).checkpoint(count)
            lines.append(_memory_line(model, compute_dtype, device, least))
        checkpointed, kept = lines
        free, total = torch.cuda.mem_get_info(device)
        allowed = total * torch.cuda.get_per_process_memory_fraction(device)
        available = min(free + torch.cuda.memory_reserved(device), allowed)
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    usable = available * HEADROOM - 3 * trained  # gradients, and two moments of the optimiser
    budget = choose_budget(
        kept, checkpointed or MemoryLine(0.0, float("inf")), usable=usable, layers=layers, least=least, most=most,
        tokens=tokens, checkpointing=checkpointing, partial=layer_stack(model).checkpoints_single_layers,
    )  # fmt: skip
    layer_stack(model).checkpoint(budget.checkpointed)
    log(
        f"Memory measured: {budget.tokens:,} tokens per pass, {budget.checkpointed} of {layers} layers checkpointed "
        f"({usable / 2**30:.1f} GiB usable)."
    )
    return budget


@contextmanager
def _restored_state(model: torch.nn.Module) -> Iterator[None]:
    """Restore gradients, random states and training mode at the end."""
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


def _memory_line(
    model: torch.nn.Module, compute_dtype: torch.dtype, device: torch.device, longest: int
) -> MemoryLine | None:
    """Memory as a function of tokens, from a small and a larger pass; None if they do not fit."""
    if layer_stack(model).checkpoints_single_layers:
        lengths: Sequence[Sequence[int]] = ([256, 256], [768, 768])
    else:  # attention of transformers' layers is quadratic: a line through the longest sequence is an upper bound
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
    """Peak bytes of a training pass over sequences of these lengths; None if they do not fit."""
    sequences = [np.full(length, 5, dtype=np.int32) for length in lengths]
    try:
        for _ in range(2):  # the first pass allocates the gradients, which the second accumulates into
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            [item] = pack(sequences, tokens_per_pass=sum(lengths))
            torch.autograd.backward(pack_logits(model, item, compute_dtype).sum())
        return float(torch.cuda.max_memory_allocated(device))
    except torch.OutOfMemoryError:
        return None
