"""Whether a finished run has seen the votes that it is to be calibrated on, or weighted by in a blend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tiebreak.errors import DataError, TiebreakError
from tiebreak.formatting import pluralize
from tiebreak.judges.ensemble import read_blend
from tiebreak.runs import RunFolder, prompt_hashes, read_training_prompts, read_validation_rows
from tiebreak.types import Comparison
from tiebreak.workflows.validation_rows import read_data_section, replay_split

if TYPE_CHECKING:
    from numpy.typing import NDArray


class KnownPrompts(NamedTuple):
    """Hashes of the prompts that a run was trained and validated on."""

    training: NDArray[np.uint64]
    validation: NDArray[np.uint64]


def warn_about_overlap(run: RunFolder, votes: Sequence[Comparison], log: Callable[[str], None]) -> None:
    """Log how many of the rows have prompts that the run was trained or validated on.

    For a blend: how many its weights were fitted on, and then the same for each member. For a run of Tiebreak 0.1
    whose votes are gone: how many have the ids of its validation rows.
    """
    if run.holds_a_blend:
        _warn_about_blend(run, votes, log)
        for member in read_blend(run.model).members:
            warn_about_overlap(RunFolder(run.path / member.run), votes, log)
        return
    try:
        known = _known_prompts(run)
    except (TiebreakError, OSError) as error:
        log(
            f"Whether {run} was trained on these votes is unknown: its own votes cannot be read "
            f"({str(error).partition(chr(10))[0]})."
        )
        same = _rows_with_known_ids(run, votes)
        if same:
            log(f"{pluralize(same, 'row')} of {len(votes):,} have ids of its validation rows.")
        return
    for hashes, verb, consequence in (
        (known.training, "trained on", "the judge is more certain of them than of new ones, which biases the result"),
        (known.validation, "validated on", "its validation metrics no longer test the result"),
    ):
        shared = _rows_with_known_prompts(hashes, votes)
        if shared:
            log(f"{shared:,} of {len(votes):,} rows have prompts that {run} was {verb}: {consequence}.")


def _warn_about_blend(run: RunFolder, votes: Sequence[Comparison], log: Callable[[str], None]) -> None:
    kept = read_validation_rows(run)
    if kept is None:
        same, what = _rows_with_known_ids(run, votes), "ids"
    else:
        hashes = prompt_hashes(row.folded_prompt for row in kept.comparisons)
        same, what = _rows_with_known_prompts(hashes, votes), "prompts"
    if same:
        log(
            f"{same:,} of {len(votes):,} rows have {what} that the weights of {run} were fitted on: the blend fits "
            "them slightly better than new ones."
        )


def _known_prompts(run: RunFolder) -> KnownPrompts:
    """From the run's folder; what it does not keep, from its votes, split again."""
    training, kept = read_training_prompts(run), read_validation_rows(run)
    validation = None if kept is None else kept.comparisons
    if training is None or validation is None:
        data = read_data_section(run)
        if data is None or data.train is None:
            raise DataError("the run does not name them")
        split = replay_split(data)
        training = prompt_hashes(row.folded_prompt for row in split.training) if training is None else training
        validation = split.validation if validation is None else validation
    return KnownPrompts(training, prompt_hashes(row.folded_prompt for row in validation))


def _rows_with_known_prompts(hashes: NDArray[np.uint64], votes: Sequence[Comparison]) -> int:
    return int(np.isin(prompt_hashes(row.folded_prompt for row in votes), hashes).sum())


def _rows_with_known_ids(run: RunFolder, votes: Sequence[Comparison]) -> int:
    import pandas as pd

    if not run.predictions.exists():
        return 0
    ids = {str(number) for number in pd.read_parquet(run.predictions, columns=["id"])["id"]}
    return len(ids & {row.id for row in votes})
