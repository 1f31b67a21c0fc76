"""A run's probabilities with A first and with B first, which show its position bias."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tiebreak.errors import RunError
from tiebreak.judges import load_judge, probability_array
from tiebreak.judges.ensemble import read_blend
from tiebreak.progress import cumulative_progress
from tiebreak.runs import Orders, RunFolder, read_orders, write_orders
from tiebreak.workflows.predictions import is_calibrated_later, read_json_object, read_run_predictions
from tiebreak.workflows.validation_rows import find_validation_rows

logger = logging.getLogger(__name__)


def judge_both_orders(
    run: str | Path,
    *,
    on: Path | None = None,
    base_model: str | None = None,
    device: str | None = None,
    log: Callable[[str], None] = logger.info,
    on_progress: Callable[[int, int], None] | None = None,
) -> Orders | None:
    """Judge a run's validation rows in both orders and keep the probabilities in its `orders.parquet`.

    Kept probabilities are returned as they are, unless the judge has changed since.

    Args:
        run: a finished run's folder, of any kind.
        on: a file with the validation rows, if the run's folder does not keep them and they are not where the recipe
            says.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        log: called with one sentence at a time.
        on_progress: called with the number of texts judged so far, and the total.

    Returns:
        The probabilities, calibrated as the run's predictions are; None for a judge that is symmetric by construction.

    Raises:
        DataError, RecipeError: the validation rows cannot be read.
        RunError: there is no finished run, or the folder cannot be read or written to.
        ModelError, MemoryBudgetError: as in `load_judge` and `Judge.compare_many`.
    """
    folder = RunFolder(run)
    predictions = read_run_predictions(run)
    if is_symmetric(folder):
        return None
    kept = read_orders(folder, predictions.ids)
    if kept is not None:
        return kept
    comparisons = find_validation_rows(folder, predictions.ids, on).comparisons
    log(f"Judging {len(comparisons):,} comparisons in both orders.")
    calibrate = not is_calibrated_later(folder)
    judge = load_judge(folder.path, base_model=base_model, device=device, calibrate=calibrate, log=log)
    total = judge.texts(len(comparisons), "average")
    count = None if on_progress is None else cumulative_progress(total, on_progress)
    first, second = zip(*judge.compare_orders(comparisons, on_progress=count), strict=True)
    orders = Orders(probability_array(first), probability_array(second))
    write_orders(folder, predictions.ids, orders)
    return orders


def is_symmetric(run: RunFolder) -> bool:
    """Whether the judge gives the same probabilities in both orders by construction: reward models and baselines do.

    Only cards are read; no model is loaded.

    Raises:
        RunError: a card cannot be read.
    """
    if run.holds_a_baseline:
        return True
    if run.holds_a_blend:
        members = read_blend(run.model).members
        return all(is_symmetric(RunFolder(run.path / member.run)) for member in members)
    card = run.model / "tiebreak.json"
    head = read_json_object(card).get("head")
    if head is None:
        raise RunError(f"{card} does not name the head. Copy or train the run again.")
    return bool(head == "pointwise")
