"""Baselines fitted to the votes that a run learned from, and kept in its `baselines/` folder."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tiebreak.baselines import BaselineKind, load_baseline, read_baseline_card
from tiebreak.errors import RecipeError, RunError, TiebreakError
from tiebreak.judges.ensemble import read_blend
from tiebreak.recipe import BaselineSection, Recipe, load_recipe
from tiebreak.runs import RunFolder
from tiebreak.training.fit_baseline import fit
from tiebreak.training.resume import recorded_fold
from tiebreak.training.vote_sources import source_files
from tiebreak.workflows.predictions import RunPredictions, align_predictions, read_run_predictions
from tiebreak.workflows.validation_rows import read_data_section

logger = logging.getLogger(__name__)

BASELINE_NAMES: Final[dict[BaselineKind, str]] = {
    "prior": "shares of the training votes",
    "length": "length and format",
    "tfidf": "words (tf-idf)",
    "trees": "boosted trees",
}
"""From the fastest to the slowest to fit. Their settings are those of the recipes `baseline-*.yaml`."""

MAX_VOTES_FOR_TREES: Final = 10_000
"""Fitting trees to more votes takes minutes, so they are fitted only on request."""


def fit_baselines_beside(
    run: str | Path, *, trees: bool | None = None, log: Callable[[str], None] = logger.info
) -> None:
    """Fit baselines to the votes that a run learned from, and keep them in its `baselines/` folder.

    Each baseline is a run's folder itself. One that is there already is fitted again only if the recipe's `data`
    section or a file of votes has changed since. A baseline that cannot be fitted is logged, and so are those after it.

    Args:
        run: a finished run's folder, of any kind; a baseline run is not fitted beside itself.
        trees: fit boosted trees. By default only if the run learned from at most `MAX_VOTES_FOR_TREES` votes.
        log: called with one sentence at a time.

    Raises:
        RecipeError: this version cannot read the run's recipe.
        RunError: there is no finished run, or its predictions cannot be read.
    """
    folder = RunFolder(run)
    predictions = read_run_predictions(run)
    data = read_data_section(folder)
    if data is None or data.train is None:
        log(f"No baselines were fitted: {folder} does not name the votes that it learned from.")
        return
    votes = 0
    for kind, name in comparable_kinds(folder).items():
        baseline = RunFolder(folder.baselines / kind)
        recipe = Recipe(baseline=BaselineSection(kind=kind), data=data, output=baseline.path)
        try:
            if not _is_current(baseline, recipe):
                if kind == "trees" and not (votes <= MAX_VOTES_FOR_TREES if trees is None else trees):
                    log(
                        f"Boosted trees were not fitted: {votes:,} votes take minutes. To fit them: "
                        f"tiebreak report {folder} --baselines."
                    )
                    return
                log(f"Fitting a baseline: {name}.")
                shutil.rmtree(baseline.path, ignore_errors=True)
                with baseline.lock(resume=False):  # notes about the votes were logged when the run was trained
                    fit(recipe, baseline, log=lambda _: None, fold=_fold(folder))
            _read_matching(baseline, predictions)
            votes = load_baseline(baseline.model).baseline.vote_count
        except TiebreakError as error:
            log(f"Baselines were not fitted, from {name} on: {error}")
            return


def read_baselines(run: RunFolder, predictions: RunPredictions) -> dict[BaselineKind, RunPredictions]:
    """Predictions of the baselines in a run's folder, on the run's validation rows.

    Baselines that were validated on other rows or votes, or that cannot be read, are left out.
    """
    baselines: dict[BaselineKind, RunPredictions] = {}
    for kind, name in BASELINE_NAMES.items():
        try:
            baselines[kind] = replace(_read_matching(RunFolder(run.baselines / kind), predictions), name=name)
        except RunError:
            continue
    return baselines


def comparable_kinds(run: RunFolder, present: Sequence[BaselineKind] = ()) -> dict[BaselineKind, str]:
    """The kinds of baselines to compare a run with, and their names: not its own kind, nor those already present.

    Raises:
        RunError: the card of a baseline run cannot be read.
    """
    own = [read_baseline_card(run.model).kind] if run.holds_a_baseline else []
    return {kind: name for kind, name in BASELINE_NAMES.items() if kind not in (*own, *present)}


def _read_matching(baseline: RunFolder, predictions: RunPredictions) -> RunPredictions:
    """The baseline's predictions in the order of the run's; raises RunError if rows or votes differ."""
    aligned = align_predictions(read_run_predictions(baseline.path), predictions.ids)
    if aligned.votes != predictions.votes:
        raise RunError(f"{baseline} was validated on other votes than the run: a file of votes has changed.")
    return aligned


def _fold(run: RunFolder) -> int:
    """As `recorded_fold`; for a blend, that of its first member, whose votes `read_data_section` names."""
    if not run.holds_a_blend:
        return recorded_fold(run)
    members = [RunFolder(run.path / member.run) for member in read_blend(run.model).members]
    return next((recorded_fold(member) for member in members if member.recipe.is_file()), 1)


def _is_current(baseline: RunFolder, recipe: Recipe) -> bool:
    """Whether the folder holds a baseline of this recipe that is newer than the files of votes."""
    if not baseline.is_finished:
        return False
    try:
        kept = load_recipe(baseline.recipe)
        read_run_predictions(baseline.path)
    except (RecipeError, RunError):  # damaged, or of another version of Tiebreak
        return False
    written = baseline.metrics.stat().st_mtime
    unchanged = all(path.stat().st_mtime <= written for path in source_files(recipe.data))
    return kept.baseline == recipe.baseline and kept.data == recipe.data and unchanged
