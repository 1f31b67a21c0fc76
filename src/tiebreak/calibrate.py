"""A finished run's calibration: fitted on votes that it never learned from, kept in its card, taken out again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.comparison import Comparison
from tiebreak.errors import DataError, TiebreakError
from tiebreak.judge import load_judge
from tiebreak.judging import Calibration, fit_calibration, refuse_unfit_votes
from tiebreak.model import read_card, write_card
from tiebreak.recipe import load_recipe
from tiebreak.run import RunFolder
from tiebreak.training.votes import split_votes
from tiebreak.wording import counted

if TYPE_CHECKING:
    from tiebreak.model import JudgeCard

logger = logging.getLogger(__name__)


def calibrate_run(
    run: str | Path,
    votes: Sequence[Comparison],
    *,
    source: str = "votes",
    base_model: str | None = None,
    device: str | None = None,
    tell: Callable[[str], None] = logger.info,
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit a calibration for a finished run and keep it in its card, in the place of any there was.

    Judges use it from then on. What is measured in the run's folder (`metrics.json`, `predictions.parquet`) stays as
    it was.

    Args:
        run: the folder `tiebreak train` made.
        votes: at least 100 comparisons with votes; the run must not have learned from them or their prompts.
        source: what they are, in words.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        tell: called with one sentence at a time about what should be known.
        on_progress: called with how many texts are judged, and how many there are.

    Returns:
        What was kept. Its method is `none` if no calibration was better than none (`fit_calibration`).

    Raises:
        DataError: a row has no vote, or the votes are too few or none that this judge can be calibrated on.
        RunError: the folder holds no trained model, or cannot be written to.
        ModelError, MemoryBudgetError: as in `load_judge` and `Judge.compare_many`.
    """
    folder = RunFolder(run)
    folder.refuse_if_untrained()
    card = read_card(folder.model)
    rows = [(row, row.vote) for row in votes if row.vote is not None]
    if len(rows) < len(votes):
        raise DataError(f"{source}: {counted(len(votes) - len(rows), 'row')} without a vote. Leave them out.")
    prompts = [row.folded_prompt for row, _ in rows]
    refuse_unfit_votes([vote for _, vote in rows], prompts, source, "Give more votes.")
    _refuse_impossible_ties(card, [vote[2] for _, vote in rows], source)
    _tell_of_known_prompts(folder, votes, tell)

    judge = load_judge(run, base_model=base_model, device=device, calibrate=False, tell=tell)
    orders = [order for row, _ in rows for order in ((row,) if judge.gives_rewards else row.orders)]
    texts, done = judge.texts(len(orders), "none"), 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        if on_progress is not None:
            on_progress(done, texts)

    verdicts = judge.compare_many(orders, on_progress=count)
    judged = np.array([(v.model_a, v.model_b, v.tie) for v in verdicts]).reshape(len(rows), -1, 3)
    judged[:, 1:] = judged[:, 1:, [1, 0, 2]]  # so that A is the same answer in both orders
    calibration = fit_calibration(judged, [vote for _, vote in rows], prompts, source=source)
    write_card(folder.model, card.model_copy(update={"calibration": calibration}))
    return calibration


def remove_calibration(run: str | Path) -> bool:
    """Take a run's calibration out of its card; returns whether there was one.

    Raises:
        RunError: the folder holds no trained model, or cannot be written to.
    """
    folder = RunFolder(run)
    folder.refuse_if_untrained()
    card = read_card(folder.model)
    if card.calibration is None:
        return False
    write_card(folder.model, card.model_copy(update={"calibration": None}))
    return True


def _refuse_impossible_ties(card: JudgeCard, ties: Sequence[float], source: str) -> None:
    """Say before anything is judged what `fit_calibration` would say after."""
    if card.rewards is not None and card.rewards.tie_model == "bradley-terry" and any(ties):
        raise DataError(
            f"{source}: {counted(sum(tie > 0 for tie in ties), 'vote')} for a tie, which this judge's "
            "model.tie_model=bradley-terry holds impossible. No calibration mends that: leave these rows out."
        )


def _tell_of_known_prompts(folder: RunFolder, votes: Sequence[Comparison], tell: Callable[[str], None]) -> None:
    """Of rows that the run learned from, or was validated on; by their ids where its votes are not there any more."""
    try:
        split = split_votes(load_recipe(folder.recipe).data, lambda _: None)
    except (TiebreakError, OSError, AssertionError) as error:
        tell(
            f"The run's votes cannot be had any more ({str(error).partition(chr(10))[0]}): whether it learned from "
            "these is not known."
        )
        same = _validated_ids(folder) & {row.id for row in votes}
        if same:
            tell(f"{counted(len(same), 'row')} of {len(votes):,} have ids of the run's validation rows.")
        return
    for known, verb, harm in (
        (split.training, "trained on", "it is surer of them than of new ones, and the calibration will be off"),
        (split.validation, "validated on", "the validation will be no fair test of the calibrated judge"),
    ):
        prompts = {row.folded_prompt for row in known}
        shared = sum(row.folded_prompt in prompts for row in votes)
        if shared:
            tell(f"{shared:,} of {len(votes):,} rows have prompts that the run was {verb}: {harm}.")


def _validated_ids(folder: RunFolder) -> set[str]:
    import pandas as pd

    if not folder.predictions.exists():
        return set()
    return {str(number) for number in pd.read_parquet(folder.predictions, columns=["id"])["id"]}
