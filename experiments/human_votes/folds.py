"""Which fifth of the training votes a comparison belongs to."""

from __future__ import annotations

from hashlib import blake2b

from tiebreak import Comparison

FOLDS = 5


def key(comparison: Comparison) -> str:
    """A comparison's first prompt, folded as `tiebreak.data.split` folds it."""
    return " ".join(comparison.prompt[0].casefold().split())


def fold(comparison: Comparison) -> int:
    """Which fifth, by its first prompt alone."""
    return int.from_bytes(blake2b(key(comparison).encode("utf-8", "surrogatepass"), digest_size=4).digest()) % FOLDS
