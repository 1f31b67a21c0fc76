"""`orders.parquet`: the validation rows' probabilities in both orders of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.runs.files import write_atomically
from tiebreak.runs.folder import RunFolder
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Orders:
    """Probabilities [rows, 3] over `OUTCOMES`; A is the same answer in both."""

    as_given: NDArray[np.float64]
    """From the judge reading (A, B)."""
    swapped: NDArray[np.float64]
    """From the judge reading (B, A)."""


def write_orders(run: RunFolder, ids: Sequence[str], orders: Orders) -> None:
    """Write the probabilities into the run folder.

    Args:
        run: the folder.
        ids: [rows], as in the run's predictions.
        orders: calibrated as the run's predictions are.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    import pandas as pd

    frame = pd.DataFrame({"id": list(ids)})
    frame[_columns("as_given")] = orders.as_given
    frame[_columns("swapped")] = orders.swapped
    write_atomically(run.orders, lambda draft: frame.to_parquet(draft, index=False))


def read_orders(run: RunFolder, ids: Sequence[str]) -> Orders | None:
    """The probabilities in the run folder; None if they are of other rows or older than the judge."""
    cards = [*run.model.glob("*.json"), *run.model.glob("*.safetensors")]
    if not run.orders.is_file() or any(card.stat().st_mtime > run.orders.stat().st_mtime for card in cards):
        return None
    import pandas as pd

    try:
        frame = pd.read_parquet(run.orders)
        if frame["id"].tolist() != list(ids):
            return None
        return Orders(*(frame[_columns(order)].to_numpy(dtype=np.float64) for order in ("as_given", "swapped")))
    except (OSError, ValueError, KeyError):  # damaged: the caller computes them again
        return None


def _columns(order: str) -> list[str]:
    return [f"{order}_{outcome}" for outcome in OUTCOMES]
