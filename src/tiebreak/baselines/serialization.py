"""The folder of a baseline: `baseline.json` describes it, `arrays.safetensors` contains its parameters.

The files contain no pickles, so loading a folder runs no code from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tiebreak.baselines.base import Baseline, BaselineKind
from tiebreak.baselines.registry import baseline_from_state
from tiebreak.calibration import Calibration
from tiebreak.errors import ModelError, RunError
from tiebreak.runs import BASELINE_CARD, translate_write_errors, write_folder_atomically, write_text

_ARRAYS = "arrays.safetensors"


class BaselineCard(BaseModel):
    """The contents of `baseline.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    kind: BaselineKind
    settings: dict[str, Any]
    """The recipe section `baseline` that it was fitted with."""
    features: tuple[str, ...]
    """`Baseline.feature_names`."""
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class StoredBaseline:
    """A baseline and its card."""

    baseline: Baseline
    card: BaselineCard


def save_baseline(folder: Path, baseline: Baseline, settings: dict[str, Any], calibration: Calibration | None) -> None:
    """Write the `model` folder of a run, in place of one left by an interrupted run.

    Raises:
        RunError: the disk is full, or the folder cannot be written.
    """
    from safetensors.numpy import save_file

    card = BaselineCard(kind=baseline.kind, settings=settings, features=baseline.feature_names, calibration=calibration)
    with write_folder_atomically(folder, replace=True) as draft:
        with translate_write_errors(folder):
            save_file(baseline.state(), draft / _ARRAYS)
        write_baseline_card(draft, card)


def write_baseline_card(folder: Path, card: BaselineCard) -> None:
    """Write the card of a run's `model` folder, atomically.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    write_text(folder / BASELINE_CARD, card.model_dump_json(indent=2) + "\n")


def read_baseline_card(folder: Path) -> BaselineCard:
    """The card of a run's `model` folder.

    Raises:
        RunError: this version cannot read it.
    """
    try:
        return BaselineCard.model_validate_json((folder / BASELINE_CARD).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise RunError(f"{folder / BASELINE_CARD} cannot be read by this version of Tiebreak: {error}") from error


def load_baseline(folder: Path) -> StoredBaseline:
    """Read the `model` folder of a run.

    Raises:
        RunError: it is damaged, or written by an incompatible version.
        ModelError: it needs LightGBM, which cannot be loaded.
    """
    from safetensors.numpy import load_file

    card = read_baseline_card(folder)
    try:
        baseline = baseline_from_state(card.kind, load_file(folder / _ARRAYS))
    except ModelError:
        raise
    except Exception as error:  # safetensors and LightGBM have their own errors; a missing array is a KeyError
        raise RunError(f"{folder / _ARRAYS} cannot be read: {error}. Copy or train the run again.") from error
    if baseline.feature_names != card.features:
        raise RunError(
            f"{folder} was fitted by a version of Tiebreak with other features. Train it again: tiebreak train "
            f"{folder.parent / 'recipe.yaml'} output=runs/NAME."
        )
    return StoredBaseline(baseline, card)
