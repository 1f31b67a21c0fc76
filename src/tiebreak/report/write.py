"""Writing a run's report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tiebreak._version import RELEASE
from tiebreak.baselines import read_baseline_card
from tiebreak.errors import RunError, TiebreakError
from tiebreak.report.analysis import analyse
from tiebreak.report.content import Content
from tiebreak.report.page import render
from tiebreak.report.run_metadata import RunMetadata, read_run_metadata
from tiebreak.report.truncation import TruncatedRow, find_truncated
from tiebreak.runs import Orders, RunFolder, read_orders, write_text
from tiebreak.types import Comparison
from tiebreak.workflows.baselines import comparable_kinds, fit_baselines_beside, read_baselines
from tiebreak.workflows.orders import is_symmetric, judge_both_orders
from tiebreak.workflows.predictions import (
    RunPredictions,
    align_predictions,
    is_calibrated_later,
    read_run_predictions,
)
from tiebreak.workflows.validation_rows import find_validation_rows
from tiebreak.workflows.vote_overlap import measure_training_overlap

logger = logging.getLogger(__name__)

Log = Callable[[str], None]


def write_report(
    run: str | Path,
    *,
    on: Path | None = None,
    beside: Sequence[str | Path] = (),
    baselines: bool | None = None,
    bias: bool | None = None,
    base_model: str | None = None,
    output: Path | None = None,
    log: Log = logger.info,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a run's report as one self-contained HTML file, and return its path.

    The report renders what is in the run's folder: predictions, validation rows, baselines, probabilities in both
    orders. For what is missing it names the command that makes it. With `baselines=True` or `bias=True` that workflow
    runs first, and its result stays in the run's folder.

    Args:
        run: a finished run's folder, of any kind of judge.
        on: a file with the validation rows, for a run whose folder does not keep them.
        beside: other runs to compare with, validated on the same rows.
        baselines: True fits missing baselines first, with boosted trees; False leaves baselines out. By default those
            in the run's folder are shown.
        bias: True judges the rows in both orders first, unless that was done; False leaves the position bias out. By
            default it is shown if the run's folder has the probabilities.
        base_model: where the base model is now, for `bias`.
        output: the HTML file; by default `report.html` in the run's folder.
        log: called with one sentence at a time: progress, and what the report lacks.
        on_progress: called with the number of texts judged in both orders so far, and the total.

    Raises:
        RunError: there is no finished run, one of its files cannot be read, another run was validated on other rows,
            `on` lacks rows, or the report cannot be written; the file that was there before is unchanged.
        DataError: `on` cannot be read, or `bias` is True and the validation rows cannot be read.
        ModelError: `bias` is True and the base model cannot be loaded.
    """
    folder = RunFolder(run)
    target = output or folder.path / "report.html"
    if target.is_dir():
        raise RunError(f"{target} is a folder. Name a file in it, such as {target / 'report.html'}.")
    predictions = replace(read_run_predictions(run), name=folder.path.absolute().name)
    others = [align_predictions(read_run_predictions(other), predictions.ids) for other in beside]
    metadata = read_run_metadata(folder)
    if baselines:
        fit_baselines_beside(run, trees=True, log=log)
    if bias:
        judge_both_orders(run, on=on, base_model=base_model, log=log, on_progress=on_progress)
    content = _read_content(folder, predictions, others, metadata, on, baselines is not False, bias is not False)
    for note in content.notes:
        log(note)
    write_text(target, render(content))
    return target


def _read_content(
    folder: RunFolder,
    predictions: RunPredictions,
    others: Sequence[RunPredictions],
    metadata: RunMetadata,
    on: Path | None,
    baselines: bool,
    bias: bool,
) -> Content:
    """Everything that the page shows, from the run's folder; `baselines` and `bias` say whether to show these."""
    notes = list(metadata.notes)
    comparisons = _find_comparisons(folder, predictions, on, notes)
    if comparisons is not None:
        for compared in (folder, *(RunFolder(other.run) for other in others)):
            measure_training_overlap(compared, [row.opening_prompt for row in comparisons], notes.append)
    truncated = None if comparisons is None else _find_truncated(folder, comparisons, notes)
    _note_later_calibration(folder, notes)
    if baselines:
        others = [*others, *_find_baselines(folder, predictions, others, metadata, notes)]
    orders, reason = _find_orders(folder, predictions) if bias else (None, "Left out (`--no-bias`).")
    return Content(
        title=predictions.name,
        predictions=predictions,
        metadata=metadata,
        analysis=analyse(predictions, comparisons, others, orders),
        comparisons=comparisons,
        orders=orders,
        no_orders=reason,
        truncated=truncated,
        notes=notes,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by tiebreak {RELEASE}",
    )


def _find_comparisons(
    folder: RunFolder, predictions: RunPredictions, on: Path | None, notes: list[str]
) -> list[Comparison] | None:
    """The validation rows; None, and a note, if they are not known."""
    try:
        return find_validation_rows(folder, predictions.ids, on).comparisons
    except TiebreakError as error:
        if on is not None:
            raise
        notes.append(f"The report has no slices, no biases and no truncation, because the texts are missing. {error}")
        return None


def _find_truncated(
    folder: RunFolder, comparisons: Sequence[Comparison], notes: list[str]
) -> list[TruncatedRow] | None:
    """The truncated rows; None if the judge has no tokenizer, or, with a note, if it cannot be read."""
    if folder.holds_a_baseline or folder.holds_a_blend:
        return None
    try:
        return find_truncated(folder, comparisons)
    except TiebreakError as error:
        notes.append(f"Truncated rows are unknown: {error}")
        return None


def _note_later_calibration(folder: RunFolder, notes: list[str]) -> None:
    if is_calibrated_later(folder):
        notes.append(
            "The run was calibrated after its predictions were made. The metrics here are uncalibrated; "
            f"`tiebreak evaluate {folder}` measures it with the calibration."
        )


def _find_baselines(
    folder: RunFolder,
    predictions: RunPredictions,
    others: Sequence[RunPredictions],
    metadata: RunMetadata,
    notes: list[str],
) -> list[RunPredictions]:
    """The baselines in the run's folder, without kinds that are compared already; a note names what is missing."""
    compared = [RunFolder(other.run) for other in others]
    present = [read_baseline_card(run.model).kind for run in compared if run.holds_a_baseline]
    kinds = comparable_kinds(folder, present)
    kept = read_baselines(folder, predictions)
    missing = [name for kind, name in kinds.items() if kind not in kept]
    if missing and metadata.recipe is None:
        notes.append("No baselines are shown: the run does not name the votes that it was trained on.")
    elif missing:
        notes.append(f"Missing baselines: {', '.join(missing)}. To fit them: `tiebreak report {folder} --baselines`.")
    return [kept[kind] for kind in kinds if kind in kept]


def _find_orders(folder: RunFolder, predictions: RunPredictions) -> tuple[Orders | None, str]:
    """Probabilities in both orders from the run's folder; or None, and a sentence that says why."""
    if is_symmetric(folder):
        return None, "This judge gives the same probabilities in both orders by construction: it has no position bias."
    orders = read_orders(folder, predictions.ids)
    if orders is None:
        return None, (
            f"The position bias is unknown: the rows were not judged in both orders. `tiebreak report {folder} --bias` "
            "does it."
        )
    return orders, ""
