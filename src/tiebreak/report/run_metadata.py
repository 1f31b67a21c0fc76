"""What a run's folder keeps beside its predictions: recipe, environment, history, metrics, calibration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tiebreak.calibration import Calibration
from tiebreak.errors import RecipeError, RunError
from tiebreak.judges.ensemble import BlendMember, read_blend
from tiebreak.recipe import DataSection, Recipe, load_recipe
from tiebreak.runs import BASELINE_CARD, RunFolder


@dataclass(frozen=True)
class Record:
    """See above; what a kind of run does not have is empty or None."""

    recipe_text: str
    recipe: Recipe | None
    data: DataSection | None
    """Which votes it learned from and was validated on; of a blend, its first member with a recipe."""
    environment: dict[str, Any]
    history: list[dict[str, Any]]
    metrics: dict[str, float]
    calibration: Calibration | None
    members: list[BlendMember]
    """Of a blend."""
    notes: list[str]
    """What could not be read, in sentences."""


def read_run_metadata(folder: RunFolder) -> Record:
    """Read all of it; a missing file is no error, a damaged one is.

    Raises:
        RunError: a file cannot be read.
    """
    notes: list[str] = []
    blended = read_blend(folder.model) if folder.holds_a_blend else None
    members = [] if blended is None else blended.members
    recipe = _recipe(folder, notes)
    recipes = [recipe, *(_recipe(RunFolder(folder.path / member.run), notes) for member in members)]
    data = next((one.data for one in recipes if one is not None), None)
    try:
        history = folder.read_history()
        if not all(isinstance(line, dict) for line in history):
            raise ValueError("a line of it is no object of names and values")
    except (OSError, ValueError) as error:
        raise RunError(
            f"{folder.history} cannot be read: {error}. Remove it for a report without learning curves."
        ) from error
    return Record(
        _text(folder.recipe), recipe, data, _json(folder.environment), history, _json(folder.metrics),
        _calibration(folder) if blended is None else blended.calibration, members, notes,
    )  # fmt: skip


def _recipe(folder: RunFolder, notes: list[str]) -> Recipe | None:
    """None where there is none, or with a note where this version cannot read it."""
    if not folder.recipe.is_file():
        return None
    try:
        return load_recipe(folder.recipe)
    except RecipeError as error:
        notes.append(f"This version of Tiebreak does not read {folder.recipe}: {error}")
        return None


def _calibration(folder: RunFolder) -> Calibration | None:
    """The card's, read without what a model's card would import."""
    path = folder.model / (BASELINE_CARD if folder.holds_a_baseline else "tiebreak.json")
    kept = _json(path).get("calibration")
    try:
        return None if kept is None else Calibration.model_validate(kept)
    except ValidationError as error:
        raise RunError(f"{path} cannot be read by this version of Tiebreak: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}. Copy the run anew.") from error


def _json(path: Path) -> dict[str, Any]:
    text = _text(path)
    try:
        value = json.loads(text) if text else {}
    except ValueError as error:
        raise RunError(f"{path} cannot be read: {error}. Copy the run anew.") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds a {type(value).__name__} where it should hold names and values. Copy it anew.")
    return value
