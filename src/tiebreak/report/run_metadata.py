"""What a run's folder holds besides its predictions: recipe, environment, history, metrics, calibration, members."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiebreak.calibration import Calibration
from tiebreak.errors import RecipeError, RunError
from tiebreak.judges.ensemble import BlendMember, read_blend
from tiebreak.recipe import Recipe, load_recipe
from tiebreak.runs import RunFolder
from tiebreak.workflows.predictions import read_calibration, read_json_object


@dataclass(frozen=True)
class RunMetadata:
    """The contents of the files; empty or None for what this kind of run does not have."""

    recipe_text: str
    recipe: Recipe | None
    environment: dict[str, Any]
    history: list[dict[str, Any]]
    metrics: dict[str, float]
    calibration: Calibration | None
    members: list[BlendMember]
    """Of a blend."""
    notes: list[str]
    """What could not be read, in sentences."""


def read_run_metadata(folder: RunFolder) -> RunMetadata:
    """Read the files of a run. A missing file is no error; a damaged one is.

    Raises:
        RunError: a file cannot be read.
    """
    recipe, notes = _read_recipe(folder)
    try:
        history = folder.read_history()
        if not all(isinstance(line, dict) for line in history):
            raise ValueError("a line is not a JSON object")
    except (OSError, ValueError) as error:
        raise RunError(
            f"{folder.history} cannot be read: {error}. Remove it for a report without learning curves."
        ) from error
    return RunMetadata(
        recipe_text=_read_text(folder.recipe),
        recipe=recipe,
        environment=read_json_object(folder.environment),
        history=history,
        metrics=read_json_object(folder.metrics),
        calibration=read_calibration(folder),
        members=read_blend(folder.model).members if folder.holds_a_blend else [],
        notes=notes,
    )


def _read_recipe(folder: RunFolder) -> tuple[Recipe | None, list[str]]:
    """The recipe, or None, and a note if this version cannot read it."""
    if not folder.recipe.is_file():
        return None, []
    try:
        return load_recipe(folder.recipe), []
    except RecipeError as error:
        return None, [f"This version of Tiebreak cannot read {folder.recipe}: {error}"]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}. Copy or train the run again.") from error
