"""The comparisons of a step: examples, and the order in which they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tiebreak.text import Encoder, PairTemplate, SideTemplate, packed_tokens
from tiebreak.types import Comparison, Conversation, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

    from tiebreak.text import Encoded


@dataclass(frozen=True, slots=True)
class Example:
    """A tokenised comparison with its vote.

    For a pairwise head: one token sequence per order, and the vote as that order sees it. For a pointwise head: the
    sequences of A and of B, and one vote.
    """

    sequences: tuple[NDArray[np.int32], ...]
    votes: tuple[Vote, ...]
    margin: float = 0.0
    """By how much the preferred answer is better, in nats of reward."""
    weight: float = 1.0
    """How much it counts in the mean over a step."""

    @property
    def texts_per_vote(self) -> int:
        """The number of sequences that a vote is about; they share a pass."""
        return len(self.sequences) // len(self.votes)

    @property
    def longest(self) -> int:
        """Tokens that a pass must hold to learn from this example."""
        return max(map(len, self.sequences)) if self.texts_per_vote == 1 else packed_tokens(self.sequences)

    @property
    def sequences_by_vote(self) -> list[tuple[NDArray[np.int32], ...]]:
        """The sequences that each vote is about."""
        size = self.texts_per_vote
        return [self.sequences[i : i + size] for i in range(0, len(self.sequences), size)]


def make_examples(
    comparisons: Sequence[Comparison],
    encoder: Encoder[Comparison],
    *,
    both_orders: bool,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[list[Example], list[Encoded]]:
    """Encode comparisons with votes for a pairwise head.

    Args:
        comparisons: each with a vote.
        encoder: turns a comparison into token ids.
        both_orders: add the swapped comparison, with the swapped vote, to each example.
        on_progress: called with the number of token sequences made since the last call: one per comparison, or two with
            `both_orders`.

    Returns:
        The examples, and the encoded comparisons in their given order (for reports of truncation).

    Raises:
        ValueError: a comparison has no vote.
    """
    # Both orders in one call: the encoder tokenises once what they share.
    orders = [c.orders if both_orders else (c,) for c in comparisons]
    encoded = encoder.encode([order for pair in orders for order in pair], on_progress=on_progress)
    sequences = iter(encoded)
    examples = [
        Example(
            tuple(next(sequences).ids for _ in pair),
            tuple(order.required_vote() for order in pair),
            weight=pair[0].weight,
        )
        for pair in orders
    ]
    return examples, encoded[:: 2 if both_orders else 1]


def make_reward_examples(
    comparisons: Sequence[Comparison],
    encoder: Encoder[Conversation],
    *,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[list[Example], list[Encoded]]:
    """Encode comparisons with votes for a pointwise head: each answer is one sequence.

    Args:
        comparisons: each with a vote.
        encoder: turns a conversation into token ids.
        on_progress: called with the number of token sequences made since the last call: two per comparison.

    Returns:
        The examples, and the encoded conversations, A and B of each comparison (for reports of truncation).

    Raises:
        ValueError: a comparison has no vote.
    """
    encoded = encoder.encode([side for c in comparisons for side in c.conversations], on_progress=on_progress)
    examples = [
        Example((a.ids, b.ids), (c.required_vote(),), c.margin, c.weight)
        for c, a, b in zip(comparisons, encoded[0::2], encoded[1::2], strict=True)
    ]
    return examples, encoded


class ExampleMaker(Protocol):
    """Makes the examples that a head learns from."""

    def __call__(
        self, comparisons: Sequence[Comparison], *, both_orders: bool, on_progress: Callable[[int], None] | None
    ) -> tuple[list[Example], list[Encoded]]:
        """As `make_examples`; a pointwise head ignores `both_orders`."""


def example_maker(
    tokenizer: PreTrainedTokenizerFast, template: PairTemplate | SideTemplate, *, max_length: int
) -> ExampleMaker:
    """The example maker for the head that a template belongs to.

    Raises:
        RecipeError: as `Encoder` does.
    """
    if isinstance(template, PairTemplate):
        return partial(make_examples, encoder=Encoder(tokenizer, template, max_length))
    encoder = Encoder(tokenizer, template, max_length)
    return lambda comparisons, *, both_orders, on_progress: make_reward_examples(
        comparisons, encoder, on_progress=on_progress
    )


def digest_of(examples: Sequence[Example]) -> str:
    """A hash, 16 hexadecimal digits, of these examples in this order."""
    state = blake2b(digest_size=8)
    for example in examples:
        for sequences, vote in zip(example.sequences_by_vote, example.votes, strict=True):
            for ids in sequences:
                state.update(ids.tobytes())
            state.update(np.asarray(vote).tobytes())
        if example.margin:
            state.update(np.asarray(example.margin).tobytes())
        if example.weight != 1:
            state.update(b"weight" + np.asarray(example.weight).tobytes())
    return state.hexdigest()


class StepSampler:
    """Batches of row indices, one per optimiser step, in an order that depends on seed and epoch only.

    Every process draws the same batch and takes its share of it, so the order does not depend on the number of
    processes. The last batch of an epoch may be smaller.
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
