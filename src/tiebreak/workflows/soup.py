"""Runs of one recipe averaged into one run, and whether that judges better than each of them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.errors import DataError, ModelError, RunError
from tiebreak.judges import load_judge, probability_array
from tiebreak.metrics import preference_metrics
from tiebreak.models import read_card, write_card
from tiebreak.models.averaging import average_adapters
from tiebreak.recipe import dump_recipe, load_recipe
from tiebreak.runs import RunFolder, translate_write_errors, write_json, write_predictions
from tiebreak.training.environment import describe_environment
from tiebreak.training.splits import split_votes
from tiebreak.types import Comparison, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.models import JudgeCard

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Soup:
    """What an average of runs came to."""

    folder: RunFolder
    rank: int
    """Of its adapter: the sum of its members'."""
    rows: int
    """Votes that all were measured on."""
    metrics: dict[str, float]
    members: dict[str, float]
    """Each member's log loss on the same votes."""

    @property
    def gain(self) -> float:
        """By how much its log loss is below that of the best member; negative where it is above."""
        return min(self.members.values()) - self.metrics["loss"]


def soup_runs(
    runs: Sequence[str | Path],
    output: str | Path,
    *,
    votes: Sequence[Comparison] | None = None,
    base_model: str | None = None,
    device: str | None = None,
    log: Callable[[str], None] = logger.info,
) -> Soup:
    """Average the adapters and heads of runs into a new run's folder (`tiebreak.models.averaging`), and measure them.

    Args:
        runs: two or more finished runs on the same base, with the same head and text; those of one recipe that differ
            in their seed, say.
        output: the new run's folder.
        votes: what to measure on. By default the validation rows, if they are the same in all runs.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        tell: called with one sentence at a time about what goes on.

    Raises:
        RunError: a run is not finished, fewer than two are given, or the folder is taken.
        ModelError: the runs are no kin.
        DataError: their validation rows differ or cannot be had any more, or a vote is missing.
    """
    folders = [RunFolder(run) for run in runs]
    if len({folder.path.resolve() for folder in folders}) < 2:
        raise RunError("A soup needs two different runs or more.")
    for folder in folders:
        folder.check_trained()
    cards = [read_card(folder.model) for folder in folders]
    for folder, card in zip(folders, cards, strict=True):
        _check_averageable(folders[0], cards[0], folder, card)
    rows = list(votes) if votes is not None else _shared_validation(folders)
    given: list[Vote] = [row.vote for row in rows if row.vote is not None]
    if len(given) < len(rows) or not rows:
        raise DataError("There are no votes to measure on, or some rows have none: give a file of votes.")
    made = RunFolder(output)
    with made.create():
        rank = _write(made, folders, cards[0])
        judged = {}
        for folder in (*folders, made):
            log(f"Judging {len(rows):,} comparisons by {folder}.")
            judged[str(folder)] = _judged(folder, rows, base_model, device)
        losses = {name: preference_metrics(p, given)["loss"] for name, p in judged.items()}
        metrics = preference_metrics(judged[str(made)], given)
        _scale_rewards(made, rows, base_model, device)
        write_predictions(made.predictions, rows, judged[str(made)])
        write_json(made.metrics, metrics)
    return Soup(made, rank, len(rows), metrics, {str(folder): losses[str(folder)] for folder in folders})


def _check_averageable(first: RunFolder, card: JudgeCard, other: RunFolder, its: JudgeCard) -> None:
    for what in ("base_model", "revision", "head", "precision", "template", "max_length"):
        one, two = getattr(card, what), getattr(its, what)
        if one != two:
            raise ModelError(f"{first} and {other} are no kin: their {what} is {one!r} and {two!r}.")
    one_model, two_model = (c.rewards and c.rewards.tie_model for c in (card, its))
    if one_model != two_model:
        raise ModelError(f"{first} and {other} are no kin: their tie_model is {one_model!r} and {two_model!r}.")


def _shared_validation(folders: Sequence[RunFolder]) -> list[Comparison]:
    """The rows that all runs were validated on."""
    import pandas as pd

    ids = [pd.read_parquet(folder.predictions, columns=["id"])["id"].tolist() for folder in folders]
    if any(other != ids[0] for other in ids):
        raise DataError(
            "These runs were validated on different rows, and some may have learned from the others': measure on votes "
            "that none of them has seen (--on VOTES)."
        )
    rows = split_votes(load_recipe(folders[0].recipe).data, lambda _: None).validation
    if [row.id for row in rows] != ids[0]:
        raise DataError(f"The votes of {folders[0]} are not what they were: measure on others (--on VOTES).")
    return rows


def _write(made: RunFolder, folders: Sequence[RunFolder], card: JudgeCard) -> int:
    """Everything but what is measured."""
    recipe = load_recipe(folders[0].recipe)
    with translate_write_errors(made.model):
        shutil.copytree(folders[0].model, made.model, ignore=shutil.ignore_patterns("adapter_*", "tiebreak.json"))
    rank = average_adapters([folder.model for folder in folders], made.model)
    lora = recipe.lora.model_copy(update={"r": rank, "lora_alpha": rank, "use_rslora": False})
    made.begin(dump_recipe(recipe.model_copy(update={"lora": lora, "output": made.path})))
    environment = describe_environment(recipe.training.seed) | {"soup_of": [str(folder) for folder in folders]}
    write_json(made.environment, environment)
    rewards = card.rewards
    if rewards is not None:
        ties = [scale.tie_parameter for f in folders if (scale := read_card(f.model).rewards) is not None]
        rewards = rewards.model_copy(update={"tie_parameter": float(np.mean(ties))})
    write_card(made.model, card.model_copy(update={"calibration": None, "rewards": rewards}))
    return rank


def _judged(
    folder: RunFolder, rows: Sequence[Comparison], base_model: str | None, device: str | None
) -> NDArray[np.float64]:
    """Probabilities as the model gives them, uncalibrated."""
    judge = load_judge(folder.path, base_model=base_model, device=device, calibrate=False)
    return probability_array(judge.compare_many(rows))


def _scale_rewards(made: RunFolder, rows: Sequence[Comparison], base_model: str | None, device: str | None) -> None:
    """Keep the mean and the spread of a reward model's rewards with it."""
    card = read_card(made.model)
    if card.rewards is None:
        return
    judge = load_judge(made.path, base_model=base_model, device=device)
    scores = judge.score_many([side for row in rows for side in row.conversations])
    rewards = np.array([score.reward for score in scores])
    scale = card.rewards.model_copy(update={"mean": float(rewards.mean()), "deviation": float(rewards.std())})
    write_card(made.model, card.model_copy(update={"rewards": scale}))
