"""A run's folder in, report.html out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tiebreak.errors import RunError, TiebreakError
from tiebreak.report.findings import find
from tiebreak.report.judged import align, read_judged
from tiebreak.report.page import Content, render
from tiebreak.report.record import read_record
from tiebreak.report.texts import Cut, find_cuts, find_texts
from tiebreak.run import RunFolder, write_text

logger = logging.getLogger(__name__)


def write_report(
    run: str | Path,
    *,
    on: Path | None = None,
    beside: Sequence[str | Path] = (),
    output: Path | None = None,
    tell: Callable[[str], None] = logger.info,
) -> Path:
    """Write a run's report as one HTML file that needs nothing else, and return where it is.

    No model is run: all numbers are of the predictions the run keeps. Texts are those of the votes that the recipe
    names, where they are still there; without them the report is made all the same, and says what it lacks.

    Args:
        run: a finished run's folder, of any kind of judge.
        on: a file with the votes the run was validated on, if they are not where the recipe says.
        beside: other runs to compare with, validated on the same rows.
        output: the file; by default `report.html` in the run's folder.
        tell: called with each sentence about what the report lacks.

    Raises:
        RunError: there is no finished run, a file of it cannot be read, a run beside it was validated on other rows,
            `on` lacks rows, or the file cannot be written; what was there before is untouched.
        DataError: `on` cannot be read.
    """
    folder = RunFolder(run)
    judged = read_judged(folder.path)
    target = output or folder.path / "report.html"
    if target.is_dir():
        raise RunError(f"{target} is a folder: name a file in it, as {target / 'report.html'}.")
    others = [align(read_judged(Path(other)), judged.ids) for other in beside]
    record = read_record(folder)
    comparisons, why = find_texts(judged, record.recipe, on)
    notes = list(record.notes)
    cuts: list[Cut] | None = None
    if comparisons is None:
        notes.append(f"Without the texts there are no breakdown, no biases and no truncation. {why}")
    elif (folder.model / "tiebreak.json").is_file():
        try:
            cuts = find_cuts(folder, comparisons)
        except TiebreakError as error:
            notes.append(f"Where texts were cut is not known: {error}")
    if record.calibration is not None and "uncalibrated_loss" not in record.metrics:
        notes.append(
            "The run was calibrated after it was trained: the numbers here are those of its training, without the "
            f"calibration. `tiebreak evaluate {run} VOTES` gives the others."
        )
    for note in notes:
        tell(note)
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by tiebreak {version('tiebreak')}"
    title = folder.path.absolute().name
    write_text(
        target,
        render(Content(title, judged, record, find(judged, comparisons, others), comparisons, cuts, notes, made)),
    )
    return target
