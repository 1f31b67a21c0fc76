"""Which comparisons a step learns from: examples, and the order in which they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.comparison import Comparison, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.text import Encoded, Encoder


@dataclass(frozen=True, slots=True)
class Example:
    """A comparison ready to learn from: one token sequence an order, and the vote as that order sees it."""

    sequences: tuple[NDArray[np.int32], ...]
    votes: tuple[Vote, ...]


def make_examples(
    comparisons: Sequence[Comparison],
    encoder: Encoder,
    *,
    both_orders: bool,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[list[Example], list[Encoded]]:
    """Encode comparisons that carry votes.

    Args:
        comparisons: each with a vote.
        encoder: turns a comparison into token ids.
        both_orders: add the swapped comparison, with the swapped vote, to each example.
        on_progress: called with the number of token sequences made since the last call, one a comparison, or two with
            `both_orders`.

    Returns:
        The examples, and the encoded comparisons in their given order (for what was cut).

    Raises:
        ValueError: a comparison has no vote.
    """
    # Both orders at once: what they have in common when they are cut is tokenised once.
    orders = [(c, c.swap()) if both_orders else (c,) for c in comparisons]
    encoded = encoder.encode([c for both in orders for c in both], on_progress=on_progress)
    sequences = iter(encoded)
    examples = []
    for i, both in enumerate(orders):
        votes = tuple(c.vote for c in both if c.vote is not None)
        if not votes:
            raise ValueError(f"comparison {both[0].id or i} has no vote to learn from")
        examples.append(Example(tuple(next(sequences).ids for _ in both), votes))
    return examples, encoded[:: 2 if both_orders else 1]


def digest_of(examples: Sequence[Example]) -> str:
    """16 hexadecimal digits that tell these examples, in this order, from any others."""
    state = blake2b(digest_size=8)
    for example in examples:
        for ids, vote in zip(example.sequences, example.votes, strict=True):
            state.update(ids.tobytes())
            state.update(np.asarray(vote).tobytes())
    return state.hexdigest()


class StepSampler:
    """Batches of indices, one an optimiser step, in an order that the seed and the epoch alone decide.

    Every GPU draws the same batch and takes its own share of it, so the order does not depend on their number.
    The last batch of an epoch holds what is left.
    """

    def __init__(self, rows: int, *, batch_size: int, seed: int) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return (self.rows + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows).tolist()
        return (order[i : i + self.batch_size] for i in range(0, self.rows, self.batch_size))
