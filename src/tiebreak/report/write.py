"""A run's folder in, report.html out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tiebreak._version import RELEASE
from tiebreak.baselines import read_baseline_card
from tiebreak.errors import RunError, TiebreakError
from tiebreak.recipe import DataSection
from tiebreak.report.analysis import find
from tiebreak.report.baselines import fit_baselines
from tiebreak.report.page import Content, render
from tiebreak.report.position_bias import compute_orders, is_quick, is_symmetric
from tiebreak.report.predictions import Judged, align, read_run_predictions
from tiebreak.report.run_metadata import read_run_metadata
from tiebreak.report.validation_rows import Cut, find_truncated, find_validation_rows
from tiebreak.runs import Orders, RunFolder, read_orders, write_text
from tiebreak.types import Comparison

logger = logging.getLogger(__name__)


def write_report(
    run: str | Path,
    *,
    on: Path | None = None,
    beside: Sequence[str | Path] = (),
    baselines: bool | None = None,
    bias: bool | None = None,
    base_model: str | None = None,
    output: Path | None = None,
    log: Callable[[str], None] = logger.info,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a run's report as one HTML file that needs nothing else, and return where it is.

    The numbers are of the predictions that the run keeps. Texts are those of the votes that the recipe names, where
    they are still there; without them the report is made all the same, and says what it lacks. What had to be fitted
    or judged for it is kept in the run's folder (`baselines/`, `orders.parquet`), and found there the next time.

    Args:
        run: a finished run's folder, of any kind of judge.
        on: a file with the votes the run was validated on, if they are not where the recipe says.
        beside: other runs to compare with, validated on the same rows.
        baselines: fit classical judges to the votes the run learned from, to stand beside it. By default that is
            done, but for trees where there are more than `MAX_VOTES_FOR_TREES`.
        bias: judge the rows in both orders, to show how much the order matters. By default that is done where it is
            quick: on a GPU, or by the built-in model.
        base_model: where the base model is now, for `bias`.
        output: the file; by default `report.html` in the run's folder.
        tell: called with one sentence at a time: what goes on, and what the report lacks.
        on_progress: called with how many texts are judged in both orders, and how many there are.

    Raises:
        RunError: there is no finished run, a file of it cannot be read, a run beside it was validated on other rows,
            `on` lacks rows, `bias` is asked for and there are no texts, or the file cannot be written; what was there
            before is untouched.
        DataError: `on` cannot be read.
        ModelError: `bias` is asked for, and the base model cannot be had.
    """
    folder = RunFolder(run)
    title = folder.path.absolute().name
    judged = replace(read_run_predictions(folder.path), name=title)
    target = output or folder.path / "report.html"
    if target.is_dir():
        raise RunError(f"{target} is a folder: name a file in it, as {target / 'report.html'}.")
    others = [align(read_run_predictions(Path(other)), judged.ids) for other in beside]
    record = read_run_metadata(folder)
    comparisons, why = find_validation_rows(judged, record.data, on)
    notes = list(record.notes)
    cuts: list[Cut] | None = None
    if comparisons is None:
        notes.append(f"Without the texts there are no breakdown, no biases and no truncation. {why}")
    elif (folder.model / "tiebreak.json").is_file():
        try:
            cuts = find_truncated(folder, comparisons)
        except TiebreakError as error:
            notes.append(f"Where texts were cut is not known: {error}")
    calibrated_since = record.calibration is not None and "uncalibrated_loss" not in record.metrics
    if calibrated_since:
        notes.append(
            f"The {'blend' if folder.holds_a_blend else 'run'} was calibrated after it was made: the numbers here are "
            f"those from then, without the calibration. `tiebreak evaluate {run} VOTES` gives the others."
        )
    for note in notes:
        log(note)
    if baselines is not False:
        rungs, missing = _ladder(folder, judged, record.data, others, whole=baselines is True, log=log)
        others += rungs
        if missing:
            log(missing)
            notes.append(missing)
    orders, unknown = _orders(
        folder, judged, comparisons, bias=bias, base_model=base_model, calibrate=not calibrated_since, log=log,
        on_progress=on_progress,
    )  # fmt: skip
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by tiebreak {RELEASE}"
    findings = find(judged, comparisons, others, orders)
    write_text(
        target, render(Content(title, judged, record, findings, comparisons, orders, unknown, cuts, notes, made))
    )
    return target


def _ladder(
    folder: RunFolder, judged: Judged, data: DataSection | None, others: Sequence[Judged], *, whole: bool,
    log: Callable[[str], None],
) -> tuple[list[Judged], str]:  # fmt: skip
    """The classical judges that are not beside the run already, the best first; and why some are missing."""
    if data is None or data.train is None:
        return [], "No classical judges stand beside the run: it does not say which votes it learned from."
    there = [
        read_baseline_card(RunFolder(one.run).model).kind
        for one in (judged, *others)
        if RunFolder(one.run).holds_a_baseline
    ]
    rungs, missing = fit_baselines(folder, judged, data, leave_out=there, whole=whole, log=log)
    return rungs[::-1], missing


def _orders(
    folder: RunFolder, judged: Judged, comparisons: Sequence[Comparison] | None, *, bias: bool | None,
    base_model: str | None, calibrate: bool, log: Callable[[str], None],
    on_progress: Callable[[int, int], None] | None,
) -> tuple[Orders | None, str]:  # fmt: skip
    """Verdicts in both orders; or None, and a sentence that says why."""
    try:
        if is_symmetric(folder):
            return None, "This judge says the same whichever answer comes first, by construction."
        if (kept := read_orders(folder, judged.ids)) is not None and bias is not False:
            return kept, ""
        if comparisons is None:
            if bias:
                raise RunError("Judging in both orders needs the texts, which the recipe does not lead to: --on VOTES.")
            return None, "How much the order of the answers matters is found by judging again, which needs the texts."
        if bias is False or (bias is None and not is_quick(folder)):
            return None, (
                "How much the order of the answers matters is found by judging again, in both orders: "
                f"`tiebreak report {folder} --bias`."
            )
        log(f"Judging {len(comparisons):,} comparisons in both orders.")
        return compute_orders(
            folder, judged.ids, comparisons, base_model=base_model, calibrate=calibrate, on_progress=on_progress
        ), ""
    except TiebreakError as error:
        if bias:
            raise
        unknown = f"How much the order of the answers matters is not known: {error}"
        log(unknown)
        return None, unknown
