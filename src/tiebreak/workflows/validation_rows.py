"""The comparisons that a finished run was validated on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tiebreak.data import load_comparisons
from tiebreak.errors import DataError, RecipeError, RunError, TiebreakError
from tiebreak.judges.ensemble import read_blend
from tiebreak.recipe import DataSection, load_recipe
from tiebreak.runs import RunFolder, ValidationRows, read_validation_rows
from tiebreak.training.splits import replay_split, validation_source
from tiebreak.types import Comparison


def find_validation_rows(run: RunFolder, ids: Sequence[str], on: Path | None = None) -> ValidationRows:
    """The run's validation rows, in the order of its predictions.

    They are read from `on` if it is given, else from the run's folder. For a run that keeps none (Tiebreak 0.1), the
    split is drawn again from the votes that its recipe names.

    Args:
        run: a finished run.
        ids: [rows], those of its predictions.
        on: a file of votes that holds these rows.

    Raises:
        DataError: the votes cannot be read, or are not those of the predictions.
        RecipeError: the run's recipe cannot be read.
        RunError: `on` lacks some of the rows, or the kept rows cannot be read.
    """
    if on is not None:
        return _rows_of_file(run, ids, on)
    kept = read_validation_rows(run)
    if kept is not None:
        comparisons = _align(kept.comparisons, ids)
        if comparisons is None:
            raise RunError(
                f"{run.validation_rows} does not hold the rows of {run.predictions.name}. Copy or train the run again, "
                "or name a file that holds them: --on VOTES."
            )
        return ValidationRows(comparisons, kept.source, kept.source_sha256)
    data = read_data_section(run)
    if data is None or data.train is None:
        raise DataError(f"{run} does not name the votes that it was validated on. Name them: --on VOTES.")
    try:
        comparisons = _align(replay_split(data).validation, ids)
    except TiebreakError as error:
        raise DataError(f"{error} If the votes are in another place now, name it: --on VOTES.") from error
    source = validation_source(data)
    if comparisons is None:
        raise DataError(f"{source} no longer gives the rows that {run} was validated on. Name others: --on VOTES.")
    return ValidationRows(comparisons, source, "")


def read_data_section(run: RunFolder) -> DataSection | None:
    """The `data` section of the run's recipe; for a blend that of its first member with a readable one.

    Raises:
        RecipeError: this version cannot read the recipe.
        RunError: the card of a blend cannot be read.
    """
    if not run.holds_a_blend:
        return load_recipe(run.recipe).data if run.recipe.is_file() else None
    for member in read_blend(run.model).members:
        recipe = RunFolder(run.path / member.run).recipe
        if recipe.is_file():
            try:
                return load_recipe(recipe).data
            except RecipeError:  # of another version of Tiebreak
                continue
    return None


def _rows_of_file(run: RunFolder, ids: Sequence[str], on: Path) -> ValidationRows:
    rows = load_comparisons(on, votes="optional", problem_rows="keep", on_note=lambda _: None)
    comparisons = _align(rows, ids)
    if comparisons is None:
        missing = len(set(ids) - {row.id for row in rows})
        raise RunError(
            f"{on} does not have the rows that {run} was validated on: {missing:,} of {len(ids):,} ids are not in it, "
            "or are in it twice. Give the file of votes that holds them."
        )
    return ValidationRows(comparisons, str(on), "")


def _align(rows: Sequence[Comparison], ids: Sequence[str]) -> list[Comparison] | None:
    """A comparison for each id, or None. Ids may repeat only if the rows are already in this order."""
    if [row.id for row in rows] == ids:
        return list(rows)
    by_id = {row.id: row for row in rows}
    if len(by_id) < len(rows) or len(set(ids)) < len(ids) or not by_id.keys() >= set(ids):
        return None
    return [by_id[row_id] for row_id in ids]
