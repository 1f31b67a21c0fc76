"""Synthetic comparisons about sums, whose votes follow from arithmetic, for demonstrations and tests.

The prompt is `X + Y = ?`; an answer is right or wrong, and a bare number (`7`) or a sentence (`It is 7.`). A right
answer wins against a wrong one; two right or two wrong answers tie, whatever their wording. Each unordered pair of
operands belongs either to training or to validation, so 3 + 5 and 5 + 3 are never in different splits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import blake2b
from itertools import combinations_with_replacement
from typing import Final, Literal

from tiebreak.types import A_WINS, B_WINS, TIE, Comparison, Vote

LARGEST_OPERAND: Final = 30
"""Operands are between 0 and this number, inclusive."""

WORDINGS: Final = (
    "{answer}",
    "It is {answer}.",
    "The answer is {answer}.",
    "I think it is {answer}.",
    "That makes {answer}.",
    "{x} + {y} = {answer}",
)
"""The forms of an answer; the bare number is as common as all others together."""

SEED_EXAMPLES: Final = (
    Comparison(("1 + 1 = ?",), ("2",), ("3",), A_WINS, id="seed-1"),
    Comparison(("2 + 2 = ?",), ("4",), ("5",), A_WINS, id="seed-2"),
    Comparison(("3 + 3 = ?",), ("6",), ("6",), TIE, id="seed-3"),
)
"""The three comparisons that the demo judges after fine-tuning: two wins of A and a tie."""

_VALIDATION_SHARE: Final = 0.2
_EXAMPLE_PAIRS: Final = ((1, 1), (2, 2), (3, 3))


def arithmetic_comparisons(rows: int, *, seed: int, split: Literal["train", "validation"]) -> tuple[Comparison, ...]:
    """Comparisons of answers to sums. Each three consecutive rows hold each outcome once.

    The same arguments give the same rows on any machine; other seeds draw other rows from the same operand pairs.

    Args:
        rows: number of comparisons.
        seed: of the random draws.
        split: decides the operand pairs; those of the two splits are disjoint.
    """
    rng = random.Random(f"{split} {seed}")
    pairs = operand_pairs(split)
    votes: list[Vote] = []
    while len(votes) < rows:
        votes += rng.sample((A_WINS, B_WINS, TIE), 3)
    return tuple(_comparison(rng, pairs, vote, id=f"{split}-{seed}-{row}") for row, vote in enumerate(votes[:rows]))


def operand_pairs(split: Literal["train", "validation"]) -> tuple[tuple[int, int], ...]:
    """The unordered operand pairs (smaller first) of a split, chosen by a hash of the pair.

    The pairs of `SEED_EXAMPLES` belong to validation, so fine-tuning never sees them.
    """
    pairs = combinations_with_replacement(range(LARGEST_OPERAND + 1), 2)
    return tuple(pair for pair in pairs if _is_validation(*pair) == (split == "validation"))


def _is_validation(x: int, y: int) -> bool:
    if (x, y) in _EXAMPLE_PAIRS:
        return True
    digest = blake2b(f"{x}+{y}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < _VALIDATION_SHARE * 2**64


def _comparison(rng: random.Random, pairs: Sequence[tuple[int, int]], vote: Vote, *, id: str) -> Comparison:
    x, y = rng.sample(rng.choice(pairs), 2)
    both_right = rng.random() < 0.5
    right_a = both_right if vote == TIE else vote == A_WINS
    right_b = both_right if vote == TIE else vote == B_WINS
    return Comparison(
        prompt=(f"{x} + {y} = ?",),
        answer_a=(_answer(rng, x, y, is_right=right_a),),
        answer_b=(_answer(rng, x, y, is_right=right_b),),
        vote=vote,
        id=id,
    )


def _answer(rng: random.Random, x: int, y: int, *, is_right: bool) -> str:
    wording = WORDINGS[0] if rng.random() < 0.5 else rng.choice(WORDINGS[1:])
    return wording.format(x=x, y=y, answer=x + y if is_right else _wrong_sum(rng, x + y))


def _wrong_sum(rng: random.Random, total: int) -> int:
    """A wrong sum within the range of sums; half of the time one close to `total`."""
    candidates = range(max(0, total - 3), total + 4) if rng.random() < 0.5 else range(2 * LARGEST_OPERAND + 1)
    return rng.choice([number for number in candidates if number != total])
