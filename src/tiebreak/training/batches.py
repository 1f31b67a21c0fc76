"""Which comparisons a step learns from: examples, and the order in which they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tiebreak.text import AnswerTemplate, Encoder, Template, packed_tokens
from tiebreak.types import Comparison, Conversation, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

    from tiebreak.text import Encoded


@dataclass(frozen=True, slots=True)
class Example:
    """A comparison ready to learn from.

    Of a pairwise head one token sequence an order, and the vote as that order sees it; of a pointwise head the
    sequences of A and of B, and one vote.
    """

    sequences: tuple[NDArray[np.int32], ...]
    votes: tuple[Vote, ...]
    margin: float = 0.0
    """By how much the preferred answer is better, in nats of reward."""

    @property
    def texts_per_vote(self) -> int:
        """How many sequences a vote is about: they go through the model in one pass."""
        return len(self.sequences) // len(self.votes)

    @property
    def longest(self) -> int:
        """Tokens that a pass must hold to learn from this."""
        return max(map(len, self.sequences)) if self.texts_per_vote == 1 else packed_tokens(self.sequences)


def make_examples(
    comparisons: Sequence[Comparison],
    encoder: Encoder[Comparison],
    *,
    both_orders: bool,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[list[Example], list[Encoded]]:
    """Encode comparisons that carry votes, for a pairwise head.

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
    orders = [c.orders if both_orders else (c,) for c in comparisons]
    encoded = encoder.encode([c for both in orders for c in both], on_progress=on_progress)
    sequences = iter(encoded)
    examples = []
    for i, both in enumerate(orders):
        votes = tuple(_vote(order, i) for order in both)
        examples.append(Example(tuple(next(sequences).ids for _ in both), votes))
    return examples, encoded[:: 2 if both_orders else 1]


def make_reward_examples(
    comparisons: Sequence[Comparison],
    encoder: Encoder[Conversation],
    *,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[list[Example], list[Encoded]]:
    """Encode comparisons that carry votes, for a pointwise head: A's side and B's, each by itself.

    Args:
        comparisons: each with a vote.
        encoder: turns one side into token ids.
        on_progress: called with the number of token sequences made since the last call, two a comparison.

    Returns:
        The examples, and the encoded sides, A and B of each comparison in their given order (for what was cut).

    Raises:
        ValueError: a comparison has no vote.
    """
    encoded = encoder.encode([side for c in comparisons for side in c.conversations], on_progress=on_progress)
    examples = [
        Example((a.ids, b.ids), (_vote(c, i),), c.margin)
        for i, (c, a, b) in enumerate(zip(comparisons, encoded[0::2], encoded[1::2], strict=True))
    ]
    return examples, encoded


class ExampleMaker(Protocol):
    """Makes examples of comparisons that carry votes, as a head wants them."""

    def __call__(
        self, comparisons: Sequence[Comparison], *, both_orders: bool, on_progress: Callable[[int], None] | None
    ) -> tuple[list[Example], list[Encoded]]:
        """As `make_examples`; `both_orders` means nothing to a pointwise head."""


def example_maker(
    tokenizer: PreTrainedTokenizerFast, template: Template | AnswerTemplate, *, max_length: int
) -> ExampleMaker:
    """What makes examples for the head that a template goes with.

    Raises:
        RecipeError: as `Encoder` does.
    """
    if isinstance(template, Template):
        return partial(make_examples, encoder=Encoder(tokenizer, template, max_length))
    sides = Encoder(tokenizer, template, max_length)
    return lambda comparisons, *, both_orders, on_progress: make_reward_examples(
        comparisons, sides, on_progress=on_progress
    )


def _vote(comparison: Comparison, number: int) -> Vote:
    if comparison.vote is None:
        raise ValueError(f"comparison {comparison.id or number} has no vote to learn from")
    return comparison.vote


def digest_of(examples: Sequence[Example]) -> str:
    """16 hexadecimal digits that tell these examples, in this order, from any others."""
    state = blake2b(digest_size=8)
    for example in examples:
        for texts, vote in zip(_by_vote(example), example.votes, strict=True):
            for ids in texts:
                state.update(ids.tobytes())
            state.update(np.asarray(vote).tobytes())
        if example.margin:
            state.update(np.asarray(example.margin).tobytes())
    return state.hexdigest()


def _by_vote(example: Example) -> list[tuple[NDArray[np.int32], ...]]:
    """The sequences each vote is about."""
    texts = example.texts_per_vote
    return [example.sequences[i : i + texts] for i in range(0, len(example.sequences), texts)]


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
