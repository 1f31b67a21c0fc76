"""Which votes a run learns from, which it is validated on, and which it is calibrated on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tiebreak.calibration import check_calibration_votes
from tiebreak.data import load_comparisons, split_by_prompt
from tiebreak.errors import DataError, RecipeError
from tiebreak.formatting import pluralize
from tiebreak.recipe import DataSection, ModelSection
from tiebreak.types import Comparison


class SplitVotes(NamedTuple):
    """A run's votes, by what they are for."""

    training: list[Comparison]
    validation: list[Comparison]
    calibration: list[Comparison]
    """None unless the recipe asks for it."""


def split_votes(settings: DataSection, log: Callable[[str], None]) -> SplitVotes:
    """Comparisons to learn from, to validate on, and to calibrate on.

    What is split off `data.train` shares no prompt with what is left of it. The validation is split off first: asking
    for a calibration does not change what a run is validated on.

    Raises:
        DataError: votes cannot be used, or those to calibrate on are too few.
        RecipeError: a number of rows is asked for that is not there.
    """
    assert settings.train is not None
    votes = _read(settings.train, settings, log)
    there = len(votes)
    if settings.validation is not None:
        validation = _read(settings.validation, settings, log)
        validation = _sample(validation, settings.validation_rows, settings.seed, "data.validation_rows")
    else:
        rows, share = settings.validation_rows, settings.validation_share
        if rows is None and share is None:
            rows = max(1, min(1000, len(votes) // 10))
        votes, validation = split_by_prompt(votes, validation_rows=rows, validation_share=share, seed=settings.seed)
    votes, calibration = _split_off_calibration(votes, there, settings, log)
    training = _sample(votes, settings.train_rows, settings.seed, "data.train_rows")
    return SplitVotes(training, validation, calibration)


def _read(path: Path, settings: DataSection, log: Callable[[str], None]) -> list[Comparison]:
    return list(load_comparisons(path, votes="required", problem_rows=settings.problem_rows, on_note=log))


def _split_off_calibration(
    votes: list[Comparison], there: int, settings: DataSection, log: Callable[[str], None]
) -> tuple[list[Comparison], list[Comparison]]:
    """What is left of the votes, of which there were so many before the validation was split off; and the calibration.

    That it is fit to calibrate on is seen to now, not after hours of training.
    """
    rows, share = settings.calibration_rows, settings.calibration_share
    if settings.calibration is not None:
        calibration = _read(settings.calibration, settings, log)
        calibration = _sample(calibration, rows, settings.seed, "data.calibration_rows")
        source, remedy = f"data.calibration={settings.calibration}", "Give more votes, or leave it out."
    elif rows is not None or share is not None:
        wanted = max(1, round(share * there)) if rows is None and share is not None else rows
        key, value = ("rows", rows) if share is None else ("share", share)
        source = f"data.calibration_{key}={value} of {pluralize(there, 'row')}"
        remedy = f"Raise it, or do without a calibration: data.calibration_{key}=null."
        if wanted is None or wanted >= len(votes):
            raise RecipeError(f"{source} leaves nothing of {len(votes):,} rows to learn from. Lower it.")
        votes, calibration = split_by_prompt(
            votes, validation_rows=wanted, validation_share=None, seed=settings.seed
        )  # fmt: skip
    else:
        return votes, []
    check_calibration_votes(
        [row.vote for row in calibration if row.vote is not None], [row.folded_prompt for row in calibration],
        source, remedy,
    )  # fmt: skip
    return votes, calibration


def calibration_source(settings: DataSection) -> str:
    """What the rows a run is calibrated on are, in words."""
    if settings.calibration is not None:
        return settings.calibration.name
    assert settings.train is not None
    return f"{settings.train.name} that were set aside"


def _sample(rows: list[Comparison], wanted: int | None, seed: int, key: str) -> list[Comparison]:
    """A random choice of so many rows, in their order; all of them where no number is asked for."""
    if wanted is None:
        return rows
    if wanted > len(rows):
        raise RecipeError(f"{key} asks for {wanted:,} rows where there are {len(rows):,}. Lower it or leave it out.")
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), wanted))]


def votes_for_head(model: ModelSection, rows: list[Comparison], log: Callable[[str], None]) -> list[Comparison]:
    """The rows as a model's head learns from them: margins go with Bradley and Terry's model, and ties do not.

    Raises:
        DataError: there are ties, and the tie model knows none.
    """
    if model.head == "pointwise" and model.tie_model == "bradley-terry":
        ties = [row for row in rows if row.vote is not None and row.vote[2] > 0]
        if ties:
            raise DataError(
                f"{len(ties):,} of {pluralize(len(rows), 'vote')} give a tie some share (id {ties[0].id} first), and "
                "model.tie_model=bradley-terry knows no ties. Take davidson or rao-kupper, or leave these rows out."
            )
        return rows
    graded = sum(row.margin > 0 for row in rows)
    if not graded:
        return rows
    log(
        f"{pluralize(graded, 'vote')} with a margin: left aside, since margins go with model.head=pointwise and "
        "model.tie_model=bradley-terry."
    )
    return [replace(row, margin=0.0) for row in rows]


def warn_about_shared_prompts(votes: SplitVotes, log: Callable[[str], None]) -> None:
    """A split never shares prompts; files that people split themselves often do, and flatter what is measured."""
    training, validation = ({row.folded_prompt for row in rows} for rows in votes[:2])
    for name, rows, known, others, harm in (
        ("validation", votes.validation, training, "training", "their score will be too good"),
        ("calibration", votes.calibration, training, "training", "its certainty about them says little of new ones"),
        ("calibration", votes.calibration, validation, "validation", "the validation's score will be too good"),
    ):
        shared = sum(row.folded_prompt in known for row in rows)
        if shared:
            log(
                f"{shared:,} of {len(rows):,} {name} rows have prompts that stand in {others} too: {harm}. What is "
                "split off data.train shares none with what is left of it."
            )
