"""A classical judge's folder: `baseline.json` says what it is, `arrays.safetensors` holds its numbers. No code in it.

scikit-learn's own way to save is pickle, which runs what it reads. Everything here is plain arrays, so there is
nothing to trust: a damaged or forged folder is refused, or gives wrong numbers.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tiebreak.baselines.base import Baseline, BaselineKind
from tiebreak.baselines.registry import baseline_from_state
from tiebreak.calibration import Calibration
from tiebreak.errors import RunError
from tiebreak.runs import BASELINE_CARD, translate_write_errors, write_text

_ARRAYS = "arrays.safetensors"


class BaselineCard(BaseModel):
    """`baseline.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    kind: BaselineKind
    settings: dict[str, Any]
    """What it was fitted with."""
    features: tuple[str, ...]
    """What it looks at, but for single words."""
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class StoredBaseline:
    """A classical judge with its card."""

    judge: Baseline
    card: BaselineCard


def save_baseline(folder: Path, judge: Baseline, settings: dict[str, Any], calibration: Calibration | None) -> None:
    """Write a run's `model` folder, whole or not at all.

    Raises:
        RunError: the disk is full, or the folder cannot be written.
    """
    from safetensors.numpy import save_file

    card = BaselineCard(kind=judge.kind, settings=settings, features=judge.feature_names, calibration=calibration)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with translate_write_errors(folder):
            draft.mkdir(parents=True)
            save_file(judge.state(), draft / _ARRAYS)
            write_baseline_card(draft, card)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_baseline_card(folder: Path, card: BaselineCard) -> None:
    """Write what a run's `model` folder says of itself, whole or not at all.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    write_text(folder / BASELINE_CARD, card.model_dump_json(indent=2) + "\n")


def read_baseline_card(folder: Path) -> BaselineCard:
    """What a run's `model` folder says of itself.

    Raises:
        RunError: this version cannot read it.
    """
    try:
        return BaselineCard.model_validate_json((folder / BASELINE_CARD).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise RunError(f"{folder / BASELINE_CARD} cannot be read by this version of Tiebreak: {error}") from error


def load_baseline(folder: Path) -> StoredBaseline:
    """Read a run's `model` folder.

    Raises:
        RunError: it is damaged, or of a version that this one cannot read.
    """
    from safetensors.numpy import load_file

    card = read_baseline_card(folder)
    try:
        judge = baseline_from_state(card.kind, load_file(folder / _ARRAYS))
    except Exception as error:  # safetensors has an error of its own; what lacks an array fails as it may
        raise RunError(f"{folder / _ARRAYS} cannot be read ({error}). Copy or train the run anew.") from error
    if judge.feature_names != card.features:
        raise RunError(
            f"{folder} was fitted by a version of Tiebreak with other features. Train it anew: tiebreak train "
            f"{folder.parent / 'recipe.yaml'} output=runs/NAME."
        )
    return StoredBaseline(judge, card)
