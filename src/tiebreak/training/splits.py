"""Split votes into training, validation and calibration rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from tiebreak.calibration import check_calibration_votes
from tiebreak.data import split_by_prompt
from tiebreak.errors import DataError, RecipeError
from tiebreak.formatting import pluralize
from tiebreak.prompt_folding import CURRENT_FOLD, FOLDS
from tiebreak.recipe import DataSection, ModelSection
from tiebreak.training.vote_sources import SourceRows, load_rows, load_train_rows, train_name, train_source
from tiebreak.types import Comparison
from tiebreak.weights import row_weights, summarise_weights


class SplitVotes(NamedTuple):
    """A run's votes by use."""

    training: list[Comparison]
    validation: list[Comparison]
    calibration: list[Comparison]
    """Empty unless the recipe asks for a calibration."""


def replay_split(settings: DataSection) -> SplitVotes:
    """Draw the split of a run of Tiebreak 0.1 again, which keeps no rows, with the prompts folded as it folded them.

    Notes about the votes are dropped: they were logged in training.

    Raises:
        DataError, RecipeError: as in `split_votes`.
    """
    return split_votes(settings, lambda _: None, fold=1)


def split_votes(
    settings: DataSection,
    log: Callable[[str], None],
    fold: int = CURRENT_FOLD,
    on_files: Callable[[Sequence[SourceRows]], None] | None = None,
) -> SplitVotes:
    """Read the votes of a recipe and split them.

    Rows that are split off `data.train` share no prompt with the rows that remain. Validation rows are split off first,
    so that they do not depend on whether the recipe asks for a calibration.

    Args:
        settings: the recipe's `data` section.
        log: called with one note on the votes at a time.
        fold: the number in `FOLDS` by which prompts are compared.
        on_files: called with the files of `data.train` and the rows used of each, if it names several.

    Raises:
        DataError: votes cannot be used, or there are too few to calibrate on.
        RecipeError: the recipe asks for more rows than there are.
    """
    assert settings.train is not None
    votes, files = load_train_rows(settings, log, fold)
    if files and on_files is not None:
        on_files(files)
    rows_in_file = len(votes)
    if settings.validation is not None:
        validation = load_rows(settings.validation, settings, log)
        validation = _sample(validation, settings.validation_rows, settings.seed, "data.validation_rows")
    else:
        rows, share = settings.validation_rows, settings.validation_share
        if rows is None and share is None:
            rows = max(1, min(1000, len(votes) // 10))
        votes, validation = split_by_prompt(
            votes, validation_rows=rows, validation_share=share, seed=settings.seed, fold=FOLDS[fold]
        )
    votes, calibration = _split_off_calibration(votes, rows_in_file, settings, log, fold)
    training = _sample(votes, settings.train_rows, settings.seed, "data.train_rows")
    if validation and not any(row.weight for row in validation):
        raise DataError(f"All {pluralize(len(validation), 'validation row')} have weight 0: give weights above 0.")
    return SplitVotes(_drop_weightless(training, "training", log), validation, calibration)


def validation_source(settings: DataSection) -> str:
    """The file or data set that the validation rows come from, or all of several."""
    assert settings.train is not None
    return train_source(settings.train) if settings.validation is None else str(settings.validation)


def calibration_source(settings: DataSection) -> str:
    """A description of the rows that a run is calibrated on."""
    if settings.calibration is not None:
        return settings.calibration.name
    assert settings.train is not None
    return f"{train_name(settings.train)} that were set aside"


def _split_off_calibration(
    votes: list[Comparison],
    rows_in_file: int,
    settings: DataSection,
    log: Callable[[str], None],
    fold: int,
) -> tuple[list[Comparison], list[Comparison]]:
    """The remaining votes and the calibration rows.

    `data.calibration_share` is a share of `rows_in_file`, the rows before validation was split off. Rows that cannot be
    calibrated on raise an error now, not after hours of training.
    """
    rows, share = settings.calibration_rows, settings.calibration_share
    if settings.calibration is not None:
        calibration = load_rows(settings.calibration, settings, log)
        calibration = _sample(calibration, rows, settings.seed, "data.calibration_rows")
        source, remedy = f"data.calibration={settings.calibration}", "Give more votes, or leave it out."
    elif rows is not None or share is not None:
        wanted = max(1, round(share * rows_in_file)) if rows is None and share is not None else rows
        key, value = ("rows", rows) if share is None else ("share", share)
        source = f"data.calibration_{key}={value} of {pluralize(rows_in_file, 'row')}"
        remedy = f"Raise it, or train without a calibration: data.calibration_{key}=null."
        if wanted is None or wanted >= len(votes):
            raise RecipeError(f"{source} leaves nothing of {len(votes):,} rows to learn from. Lower it.")
        votes, calibration = split_by_prompt(
            votes, validation_rows=wanted, validation_share=None, seed=settings.seed, fold=FOLDS[fold]
        )
    else:
        return votes, []
    calibration = _drop_weightless(calibration, "calibration", log)
    check_calibration_votes(
        [row.vote for row in calibration if row.vote is not None], [row.folded_prompt for row in calibration],
        source, remedy, row_weights(calibration),
    )  # fmt: skip
    return votes, calibration


def _drop_weightless(rows: list[Comparison], name: str, log: Callable[[str], None]) -> list[Comparison]:
    """The rows with a weight above 0. How many are left out, and how much the others count, is logged.

    Raises:
        DataError: no row has a weight above 0.
    """
    kept = [row for row in rows if row.weight]
    dropped = len(rows) - len(kept)
    if dropped and not kept:
        raise DataError(f"All {pluralize(dropped, f'{name} row')} have weight 0: give weights above 0.")
    if dropped:
        log(f"{dropped:,} of {pluralize(len(rows), f'{name} row')} have weight 0: left out.")
    weights = summarise_weights(row_weights(kept))
    if weights is not None:
        log(f"{pluralize(len(kept), f'{name} row')} with weights: {weights}.")
    return kept


def _sample(rows: list[Comparison], size: int | None, seed: int, key: str) -> list[Comparison]:
    """A random sample of the rows, in their order; all of them without a size."""
    if size is None:
        return rows
    if size > len(rows):
        raise RecipeError(f"{key} asks for {size:,} rows where there are {len(rows):,}. Lower it or leave it out.")
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), size))]


def votes_for_head(model: ModelSection, rows: list[Comparison], log: Callable[[str], None]) -> list[Comparison]:
    """The rows as a model's head learns from them: only a Bradley-Terry model uses margins, and it takes no ties.

    Raises:
        DataError: there are ties, and the tie model has none.
    """
    if model.head == "pointwise" and model.tie_model == "bradley-terry":
        ties = [row for row in rows if row.vote is not None and row.vote[2] > 0]
        if ties:
            raise DataError(
                f"{len(ties):,} of {pluralize(len(rows), 'vote')} give a tie some share (id {ties[0].id} first), and "
                "model.tie_model=bradley-terry knows no ties. Use davidson or rao-kupper, or remove these rows."
            )
        return rows
    graded = sum(row.margin > 0 for row in rows)
    if not graded:
        return rows
    log(
        f"{pluralize(graded, 'vote')} with a margin: the margins are ignored. Only model.head=pointwise with "
        "model.tie_model=bradley-terry uses them."
    )
    return [replace(row, margin=0.0) for row in rows]


def warn_about_shared_prompts(votes: SplitVotes, log: Callable[[str], None]) -> None:
    """Log how many prompts occur on both sides of files that were split by hand: they bias what is measured."""
    training, validation = ({row.folded_prompt for row in rows} for rows in votes[:2])
    for name, rows, prompts, other, harm in (
        ("validation", votes.validation, training, "training", "the validation score will be too good"),
        ("calibration", votes.calibration, training, "training", "the calibration will be overconfident on new rows"),
        ("calibration", votes.calibration, validation, "validation", "the validation score will be too good"),
    ):
        shared = sum(row.folded_prompt in prompts for row in rows)
        if shared:
            log(
                f"{shared:,} of {len(rows):,} {name} rows have prompts that occur in {other} rows too: {harm}. Rows "
                "that Tiebreak splits off data.train share no prompt with the rest."
            )
