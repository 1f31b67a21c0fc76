"""Averaging the adapters of runs of one recipe into one run (a model soup), measured against each of them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.errors import DataError, ModelError, RunError, TiebreakError
from tiebreak.judges import load_judge, probability_array
from tiebreak.metrics import preference_metrics
from tiebreak.models import read_adapter_card, write_card
from tiebreak.models.averaging import average_adapters
from tiebreak.recipe import dump_recipe, load_recipe
from tiebreak.runs import (
    RunFolder,
    read_validation_rows,
    translate_write_errors,
    write_json,
    write_predictions,
    write_prompt_hashes,
    write_validation_rows,
)
from tiebreak.training.environment import describe_environment
from tiebreak.training.resume import recorded_fold
from tiebreak.types import Comparison, Vote
from tiebreak.weights import row_weights
from tiebreak.workflows.predictions import read_run_predictions
from tiebreak.workflows.validation_rows import find_validation_rows
from tiebreak.workflows.vote_overlap import TrainingOverlap, measure_training_overlap, training_prompts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.models import JudgeCard

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Soup:
    """The result of `soup_runs`."""

    folder: RunFolder
    rank: int
    """Rank of its adapter: the sum of its members'."""
    rows: int
    """Votes that it and its members were measured on."""
    metrics: dict[str, float]
    members: dict[str, float]
    """Each member's log loss on the same votes."""
    training_overlap: TrainingOverlap | None
    """Rows with prompts that a member was trained on; None if that is not known."""

    @property
    def gain(self) -> float:
        """By how much its log loss is below that of the best member; negative if it is above."""
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
    """Average the adapters and heads of runs into a new run (`tiebreak.models.averaging`), and measure them.

    Args:
        runs: two or more finished runs with the same base model, head and template, such as runs of one recipe with
            different seeds.
        output: the new run's folder.
        votes: what to measure on. By default the validation rows, if they are the same in all runs.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        log: called with one sentence at a time.

    Raises:
        RunError: a run is not finished, fewer than two are given, or the output folder is in use.
        ModelError: the runs differ in what has to be the same.
        DataError: their validation rows differ or cannot be read, or a vote is missing.
    """
    folders = [RunFolder(run) for run in runs]
    cards = _check_members(folders)
    rows = list(votes) if votes is not None else _shared_validation_rows(folders)
    given: list[Vote] = [row.vote for row in rows if row.vote is not None]
    if len(given) < len(rows) or not rows:
        raise DataError("There are no votes to measure on, or some rows have none. Give a file of votes: --on VOTES.")
    weights = row_weights(rows)
    if weights is not None and not weights.any():
        raise DataError(f"All {len(rows):,} rows to measure on have weight 0: give weights above 0.")
    created = RunFolder(output)
    with created.create():
        rank = _write_model(created, folders, cards)
        _write_training_prompts(created, folders)
        overlap = measure_training_overlap(created, [row.opening_prompt for row in rows], log)
        losses = {}
        for folder in folders:
            log(f"Judging {len(rows):,} comparisons with {folder}.")
            losses[str(folder)] = preference_metrics(_judge(folder, rows, base_model, device), given, weights)["loss"]
        log(f"Judging {len(rows):,} comparisons with {created}.")
        probabilities = _judge(created, rows, base_model, device)
        metrics = preference_metrics(probabilities, given, weights)
        _update_reward_scale(created, rows, base_model, device)
        write_validation_rows(created, rows, None)
        write_predictions(created.predictions, rows, probabilities)
        write_json(created.metrics, metrics)
    return Soup(created, rank, len(rows), metrics, losses, overlap)


def _write_training_prompts(created: RunFolder, folders: Sequence[RunFolder]) -> None:
    """Keep the prompts that any member was trained on, if they are known of all."""
    try:
        prompts = [training_prompts(folder) for folder in folders]
    except (TiebreakError, OSError):  # `measure_training_overlap` says that they are unknown
        return
    write_prompt_hashes(created, np.concatenate(prompts))


def _check_members(folders: Sequence[RunFolder]) -> list[JudgeCard]:
    """The runs' cards; raises if they cannot be averaged."""
    if len({folder.path.resolve() for folder in folders}) < 2:
        raise RunError("A soup needs two different runs or more.")
    for folder in folders:
        folder.check_trained()
    cards = [read_adapter_card(folder.model) for folder in folders]
    for folder, card in zip(folders, cards, strict=True):
        for name in ("base_model", "revision", "head", "precision", "template", "max_length"):
            _check_equal(name, folders[0], getattr(cards[0], name), folder, getattr(card, name))
        tie_models = [c.rewards and c.rewards.tie_model for c in (cards[0], card)]
        _check_equal("tie_model", folders[0], tie_models[0], folder, tie_models[1])
    return cards


def _check_equal(name: str, first: RunFolder, value: object, other: RunFolder, other_value: object) -> None:
    if value != other_value:
        raise ModelError(
            f"{first} and {other} cannot be averaged: `{name}` differs ({value!r} and {other_value!r}). Average runs "
            "of one recipe."
        )


def _shared_validation_rows(folders: Sequence[RunFolder]) -> list[Comparison]:
    """The rows that all runs were validated on."""
    ids = [read_run_predictions(folder.path).ids for folder in folders]
    kept = [rows.comparisons for folder in folders if (rows := read_validation_rows(folder)) is not None]
    if any(other != ids[0] for other in ids) or any(rows != kept[0] for rows in kept):
        raise DataError(
            "These runs were validated on different rows, so some may have been trained on the others' validation "
            "rows. Measure on votes that none of them has seen: --on VOTES."
        )
    source = next((folder for folder in folders if folder.validation_rows.is_file()), folders[0])
    return find_validation_rows(source, ids[0]).comparisons


def _write_model(created: RunFolder, folders: Sequence[RunFolder], cards: Sequence[JudgeCard]) -> int:
    """Write the recipe, the environment and the averaged model; returns the rank of its adapter."""
    recipe = load_recipe(folders[0].recipe)
    with translate_write_errors(created.model):
        shutil.copytree(
            folders[0].model, created.model, ignore=shutil.ignore_patterns("adapter_*", "tiebreak.json")
        )  # fmt: skip
    rank = average_adapters([folder.model for folder in folders], created.model)
    lora = recipe.lora.model_copy(update={"r": rank, "lora_alpha": rank, "use_rslora": False})
    created.begin(dump_recipe(recipe.model_copy(update={"lora": lora, "output": created.path})))
    environment = describe_environment(recipe.training.seed) | {
        "soup_of": [str(folder) for folder in folders], "prompt_fold": recorded_fold(folders[0]),
    }  # fmt: skip
    write_json(created.environment, environment)
    rewards = cards[0].rewards
    if rewards is not None:
        tie_parameters = [card.rewards.tie_parameter for card in cards if card.rewards is not None]
        rewards = rewards.model_copy(update={"tie_parameter": float(np.mean(tie_parameters))})
    write_card(created.model, cards[0].model_copy(update={"calibration": None, "rewards": rewards}))
    return rank


def _judge(
    folder: RunFolder, rows: Sequence[Comparison], base_model: str | None, device: str | None
) -> NDArray[np.float64]:
    """Uncalibrated probabilities [rows, 3]."""
    judge = load_judge(folder.path, base_model=base_model, device=device, calibrate=False)
    return probability_array(judge.compare_many(rows))


def _update_reward_scale(
    created: RunFolder, rows: Sequence[Comparison], base_model: str | None, device: str | None
) -> None:
    """Write the mean and the standard deviation of a reward model's rewards to its card."""
    card = read_adapter_card(created.model)
    if card.rewards is None:
        return
    judge = load_judge(created.path, base_model=base_model, device=device)
    scores = judge.score_many([side for row in rows for side in row.conversations])
    rewards = np.array([score.reward for score in scores])
    scale = card.rewards.model_copy(update={"mean": float(rewards.mean()), "deviation": float(rewards.std())})
    write_card(created.model, card.model_copy(update={"rewards": scale}))
