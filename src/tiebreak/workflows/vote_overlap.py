"""Whether a finished run has seen the votes that it is measured, calibrated or weighted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from tiebreak.errors import DataError, TiebreakError
from tiebreak.formatting import pluralize
from tiebreak.judges.ensemble import read_blend
from tiebreak.runs import RunFolder, have_hashes, prompt_hashes, read_training_prompts, read_validation_rows
from tiebreak.training.splits import replay_split
from tiebreak.types import Comparison
from tiebreak.workflows.validation_rows import read_data_section

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.training.splits import SplitVotes


class KnownPrompts(NamedTuple):
    """Hashes of the prompts that a run was trained and validated on."""

    training: NDArray[np.uint64]
    validation: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class TrainingOverlap:
    """How many of the rows that a run is measured on have prompts that it was trained on."""

    rows: int
    """Rows with such a prompt. For a blend: that any of its members was trained on."""
    total: int
    """All rows."""

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.rows / self.total if self.total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"rows": self.rows, "share": self.share}


def measure_training_overlap(
    run: RunFolder, prompts: Sequence[str], log: Callable[[str], None]
) -> TrainingOverlap | None:
    """Count the rows whose prompts a run was trained on, and log the share if there are any.

    Args:
        run: a finished run. For a blend, its members are checked.
        prompts: [rows], first turns.
        log: called with one sentence at a time.

    Returns:
        None, after a sentence that says so, if the prompts that the run was trained on are not known.
    """
    known = _rows_trained_on(run, prompts, log)
    return None if known is None else TrainingOverlap(int(known.sum()), len(known))


def _rows_trained_on(run: RunFolder, prompts: Sequence[str], log: Callable[[str], None]) -> NDArray[np.bool_] | None:
    """[rows], whether each prompt was trained on; None if that is not known."""
    if run.holds_a_blend:
        kept = read_validation_rows(run)
        if kept is not None:
            fitted = prompt_hashes(row.opening_prompt for row in kept.comparisons)
            _log_fitted(run, int(have_hashes(prompts, fitted).sum()), len(prompts), "prompts", log)
        parts = [
            _rows_trained_on(RunFolder(run.path / member.run), prompts, log) for member in read_blend(run.model).members
        ]
        known = [part for part in parts if part is not None]
        return np.logical_or.reduce(known) if len(known) == len(parts) else None
    try:
        trained_on = have_hashes(prompts, training_prompts(run))
    except (TiebreakError, OSError) as error:
        log(_unknown(run, error))
        return None
    _log_shared(run, int(trained_on.sum()), len(prompts), *_TRAINED, log)
    return trained_on


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
        log(_unknown(run, error))
        same = _rows_with_known_ids(run, votes)
        if same:
            log(f"{pluralize(same, 'row')} of {len(votes):,} have ids of its validation rows.")
        return
    for hashes, verb, consequence in ((known.training, *_TRAINED), (known.validation, *_VALIDATED)):
        _log_shared(run, _rows_with_known_prompts(hashes, votes), len(votes), verb, consequence, log)


_TRAINED: Final = ("trained on", "the judge is more certain of them than of new ones, which biases the result")
_VALIDATED: Final = ("validated on", "its validation metrics no longer test the result")


def _log_shared(
    run: RunFolder, shared: int, total: int, verb: str, consequence: str, log: Callable[[str], None]
) -> None:
    if shared:
        share = f"{shared / total:.1%}"
        log(f"{shared:,} of {total:,} rows have prompts that {run} was {verb} ({share}): {consequence}.")


def _unknown(run: RunFolder, error: Exception) -> str:
    if run.names_a_model:
        return f"Whether {run} was trained on these votes is unknown: a published model does not name its votes."
    return (
        f"Whether {run} was trained on these votes is unknown: its own votes cannot be read "
        f"({str(error).partition(chr(10))[0]})."
    )


def _warn_about_blend(run: RunFolder, votes: Sequence[Comparison], log: Callable[[str], None]) -> None:
    kept = read_validation_rows(run)
    if kept is None:
        same, what = _rows_with_known_ids(run, votes), "ids"
    else:
        hashes = prompt_hashes(row.opening_prompt for row in kept.comparisons)
        same, what = _rows_with_known_prompts(hashes, votes), "prompts"
    _log_fitted(run, same, len(votes), what, log)


def _log_fitted(run: RunFolder, same: int, total: int, what: str, log: Callable[[str], None]) -> None:
    if same:
        log(
            f"{same:,} of {total:,} rows have {what} that the weights of {run} were fitted on: the blend fits them "
            "slightly better than new ones."
        )


def training_prompts(run: RunFolder) -> NDArray[np.uint64]:
    """Hashes of the prompts that a run was trained on, from its folder, or else from its votes, split again.

    Raises:
        DataError, RecipeError, RunError: neither can be read.
    """
    kept = read_training_prompts(run)
    return prompt_hashes(row.opening_prompt for row in _replay(run).training) if kept is None else kept


def _known_prompts(run: RunFolder) -> KnownPrompts:
    """From the run's folder; what it does not keep, from its votes, split again."""
    kept = read_validation_rows(run)
    validation = _replay(run).validation if kept is None else kept.comparisons
    return KnownPrompts(training_prompts(run), prompt_hashes(row.opening_prompt for row in validation))


def _replay(run: RunFolder) -> SplitVotes:
    data = read_data_section(run)
    if data is None or data.train is None:
        raise DataError("the run does not name them")
    return replay_split(data)


def _rows_with_known_prompts(hashes: NDArray[np.uint64], votes: Sequence[Comparison]) -> int:
    return int(have_hashes([row.opening_prompt for row in votes], hashes).sum())


def _rows_with_known_ids(run: RunFolder, votes: Sequence[Comparison]) -> int:
    import pandas as pd

    if not run.predictions.exists():
        return 0
    ids = {str(number) for number in pd.read_parquet(run.predictions, columns=["id"])["id"]}
    return len(ids & {row.id for row in votes})
