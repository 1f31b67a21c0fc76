"""A run's verdicts with A first and with B first: what a report of position bias is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from tiebreak.answer_order import swap_outcomes
from tiebreak.errors import RunError
from tiebreak.judges.ensemble import read_blend
from tiebreak.runs import Orders, RunFolder, write_orders
from tiebreak.types import Comparison


def is_symmetric(folder: RunFolder) -> bool:
    """Whether the judge says the same in both orders by construction: rewards and classical judges do.

    Raises:
        RunError: a card cannot be read.
    """
    return all(base is None for base in _readers_of_pairs(folder))


def is_quick(folder: RunFolder) -> bool:
    """Whether judging again takes seconds: on a GPU, or by the built-in model.

    Raises:
        RunError: a card cannot be read.
    """
    if all(base in (None, "nano") for base in _readers_of_pairs(folder)):
        return True
    import torch

    return torch.cuda.is_available()


def compute_orders(
    folder: RunFolder, ids: Sequence[str], comparisons: Sequence[Comparison], *, base_model: str | None,
    calibrate: bool, on_progress: Callable[[int, int], None] | None,
) -> Orders:  # fmt: skip
    """Judge the rows in both orders with the run's judge, and keep that in its folder's `orders.parquet`.

    Args:
        folder: the run's.
        ids: the rows', as in its predictions.
        comparisons: the rows.
        base_model: as in `load_judge`.
        calibrate: as in `load_judge`: as the predictions were made.
        on_progress: called with how many texts are judged, and how many there are.

    Raises:
        TiebreakError: the judge cannot be loaded, or the file not be written.
    """
    from tiebreak.judges import load_judge, probability_array
    from tiebreak.progress import cumulative_progress

    judge = load_judge(folder.path, base_model=base_model, calibrate=calibrate)
    both = [*comparisons, *(comparison.swap() for comparison in comparisons)]
    count = None if on_progress is None else cumulative_progress(judge.texts(len(both), "none"), on_progress)
    verdicts = judge.compare_many(both, on_progress=count)
    said = probability_array(verdicts)
    rows = len(comparisons)
    orders = Orders(said[:rows], swap_outcomes(said[rows:]))
    write_orders(folder, ids, orders)
    return orders


def _readers_of_pairs(folder: RunFolder) -> list[str | None]:
    """The base models of the judges of pairs in it, one a member of a blend; None for a judge that reads no pairs."""
    if folder.holds_a_baseline:
        return [None]
    if folder.holds_a_blend:
        members = read_blend(folder.model).members
        return [base for member in members for base in _readers_of_pairs(RunFolder(folder.path / member.run))]
    card = folder.model / "tiebreak.json"
    try:
        kept = json.loads(card.read_text(encoding="utf-8"))
        return [None if kept["head"] == "pointwise" else str(kept["base_model"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{card} cannot be read: {error}. Copy or train the run anew.") from error
