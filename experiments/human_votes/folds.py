"""Which fifth of the training votes a comparison belongs to, and files of ids and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd

from tiebreak import Comparison

FOLDS = 5


def key(comparison: Comparison) -> str:
    """A comparison's first prompt, folded as `tiebreak.data.splits` folds it."""
    return " ".join(comparison.prompt[0].casefold().split())


def fold(comparison: Comparison) -> int:
    """Which fifth, by its first prompt alone."""
    return int.from_bytes(blake2b(key(comparison).encode("utf-8", "surrogatepass"), digest_size=4).digest()) % FOLDS


def read(path: Path, comparisons: Sequence[Comparison]) -> np.ndarray:
    """Predictions of an earlier stage, [rows, 3], in the order of the comparisons."""
    frame = pd.read_parquet(path)
    if frame["id"].tolist() != [c.id for c in comparisons]:
        raise SystemExit(f"{path} is of other rows than these")
    return frame[["model_a", "model_b", "tie"]].to_numpy()


def write(path: Path, comparisons: Sequence[Comparison], probabilities: np.ndarray) -> None:
    """Ids and probabilities."""
    frame = pd.DataFrame(probabilities, columns=["model_a", "model_b", "tie"])
    frame.insert(0, "id", [c.id for c in comparisons])
    frame.to_parquet(path, index=False)
