"""The classical judges that a run stands beside: fitted on the votes it learned from, kept in its `baselines/`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from tiebreak.baselines import BaselineKind, load_baseline
from tiebreak.errors import RecipeError, RunError, TiebreakError
from tiebreak.recipe import BaselineSection, DataSection, Recipe, load_recipe
from tiebreak.report.predictions import Judged, align, read_run_predictions
from tiebreak.runs import RunFolder
from tiebreak.training import train

BASELINE_NAMES: Final[dict[BaselineKind, str]] = {
    "prior": "shares of the training votes",
    "length": "length and format",
    "tfidf": "words (tf-idf)",
    "trees": "boosted trees",
}
"""From the lowest up, which is from the quickest to the slowest. Their settings are those of `baseline-*.yaml`."""

MAX_VOTES_FOR_TREES: Final = 10_000
"""Growing trees from more takes minutes: it is done only where it is asked for."""


def fit_baselines(
    run: RunFolder, judged: Judged, data: DataSection, *, leave_out: Collection[str], whole: bool,
    log: Callable[[str], None],
) -> tuple[list[Judged], str]:  # fmt: skip
    """What classical judges say of a run's validation rows, the best last; and a sentence about those that are missing.

    Each is a run's folder like any other, so that what was fitted once is found again; one of other votes, or of a
    file that has changed since, is fitted anew.

    Args:
        run: whose folder keeps them.
        judged: its predictions.
        data: the section of its recipe: which votes it learned from.
        leave_out: kinds that stand beside it already.
        whole: grow trees, however many votes there are.
        tell: called with one sentence at a time about what goes on.
    """
    found: list[Judged] = []
    for kind, name in BASELINE_NAMES.items():
        if kind in leave_out:
            continue
        folder = RunFolder(run.path / "baselines" / kind)
        recipe = Recipe(baseline=BaselineSection(kind=kind), data=data, output=folder.path)
        try:
            if not _is_kept(folder, recipe):
                lower = found[-1].run if found else None
                if (
                    kind == "trees"
                    and lower
                    and not whole
                    and (votes := _votes(RunFolder(lower))) > MAX_VOTES_FOR_TREES
                ):
                    return found, (
                        f"Boosted trees are not beside the run: growing them from {votes:,} votes takes minutes. "
                        "`tiebreak report RUN --baselines` does it, once."
                    )
                log(f"Fitting a classical judge beside it: {name}.")
                shutil.rmtree(folder.path, ignore_errors=True)
                train(recipe, log=_silence)
            rung = align(read_run_predictions(folder.path), judged.ids)
            if rung.votes != judged.votes:
                raise RunError(f"the votes of {data.validation or data.train} are not those the run was validated on.")
        except TiebreakError as error:
            return found, f"Classical judges from {name} on are not beside the run: {error}"
        found.append(replace(rung, name=name))
    return found, ""


def _is_kept(folder: RunFolder, recipe: Recipe) -> bool:
    """Whether the folder holds what this recipe gives, as far as files tell."""
    if not folder.is_finished:
        return False
    try:
        kept = load_recipe(folder.recipe)
        read_run_predictions(folder.path)
    except (RecipeError, RunError):  # damaged, or of another version of Tiebreak
        return False
    written = folder.metrics.stat().st_mtime
    files = [path for path in (recipe.data.train, recipe.data.validation, recipe.data.calibration) if path is not None]
    unchanged = all(not path.is_file() or path.stat().st_mtime <= written for path in files)
    return kept.baseline == recipe.baseline and kept.data == recipe.data and unchanged


def _votes(folder: RunFolder) -> int:
    """How many a classical judge learned from."""
    return load_baseline(folder.model).baseline.vote_count


def _silence(_: str) -> None:
    """Notes about the votes were told when the run was trained."""
