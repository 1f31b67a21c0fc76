"""Whether a finished run knows the votes that it is to be calibrated or weighed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tiebreak.errors import TiebreakError
from tiebreak.formatting import pluralize
from tiebreak.judges.ensemble import read_blend
from tiebreak.recipe import load_recipe
from tiebreak.runs import RunFolder
from tiebreak.training.splits import split_votes
from tiebreak.types import Comparison


def warn_about_overlap(folder: RunFolder, votes: Sequence[Comparison], log: Callable[[str], None]) -> None:
    """Say how many of the rows have prompts that the run was trained or validated on.

    Of a blend, how many its weights were found on, and then the same of each member. A run whose votes are not there
    any more is known by the ids of its validation rows.
    """
    if folder.holds_a_blend:
        same = _ids_of_predictions(folder) & {row.id for row in votes}
        if same:
            log(
                f"{pluralize(len(same), 'row')} of {len(votes):,} have ids of those that the weights of {folder} were "
                "found on: they fit these a little better than others."
            )
        for member in read_blend(folder.model).members:
            warn_about_overlap(RunFolder(folder.path / member.run), votes, log)
        return
    try:
        known = split_votes(load_recipe(folder.recipe).data, lambda _: None)
    except (TiebreakError, OSError, AssertionError) as error:
        log(
            f"The votes of {folder} cannot be had any more ({str(error).partition(chr(10))[0]}): whether it learned "
            "from these is not known."
        )
        same = _ids_of_predictions(folder) & {row.id for row in votes}
        if same:
            log(f"{pluralize(len(same), 'row')} of {len(votes):,} have ids of its validation rows.")
        return
    for rows, verb, harm in (
        (known.training, "trained on", "it is surer of them than of new ones, and what is found on them will be off"),
        (known.validation, "validated on", "that validation is no fair test of what is found on them"),
    ):
        prompts = {row.folded_prompt for row in rows}
        shared = sum(row.folded_prompt in prompts for row in votes)
        if shared:
            log(f"{shared:,} of {len(votes):,} rows have prompts that {folder} was {verb}: {harm}.")


def _ids_of_predictions(folder: RunFolder) -> set[str]:
    import pandas as pd

    if not folder.predictions.exists():
        return set()
    return {str(number) for number in pd.read_parquet(folder.predictions, columns=["id"])["id"]}
