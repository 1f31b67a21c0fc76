"""Calibrating a published judge: a new run folder that refers to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.calibration import Calibration, fit_calibration
from tiebreak.errors import RunError
from tiebreak.judges import Judge, load_judge
from tiebreak.progress import cumulative_progress
from tiebreak.ranking import fit_tie_parameter, outcome_logits
from tiebreak.runs import RunFolder, translate_write_errors
from tiebreak.types import Comparison
from tiebreak.weights import row_weights
from tiebreak.workflows.calibrate import check_votes, judge_orders, weighted_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.models import RewardScale

logger = logging.getLogger(__name__)


def calibrate_published(
    name: str,
    votes: Sequence[Comparison],
    output: str | Path,
    *,
    source: str = "votes",
    device: str | None = None,
    log: Callable[[str], None] = logger.info,
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Calibrate a published judge, and write a run folder that refers to it with its calibration.

    A reward model of one label says nothing about ties. It gets Davidson's tie model, with the parameter fitted to
    the votes if there are ties, and the mean and the deviation of its rewards for their answers.

    Args:
        name: the folder or hub name of the judge, as in `load_judge`.
        votes: as in `calibrate_run`.
        output: the new run folder.
        source: as in `calibrate_run`.
        device: as in `load_judge`.
        log: called with one sentence at a time.
        on_progress: called with the number of texts judged so far, and the total.

    Raises:
        DataError: as in `calibrate_run`.
        RunError: `name` is a run, or `output` is not a new folder.
        ModelError, MemoryBudgetError: as in `load_judge` and `Judge.compare_many`.
    """
    if not RunFolder(name).names_a_model:
        raise RunError(f"{name} is a run, and its own card is changed: leave out --output.")
    votes = weighted_rows(votes, source, log)
    labels, prompts = check_votes(votes, source)
    weights = row_weights(votes)
    folder = RunFolder(output)
    folder.check_available(resume=False)
    judge = load_judge(name, device=device, calibrate=False, log=log)  # a model that is refused leaves no folder
    with folder.create():
        scale = None
        if judge.gives_rewards:
            rewards = _rewards(judge, votes, on_progress)
            scale = _reward_scale(rewards, labels, weights)
            probabilities = _probabilities(rewards, scale)
        else:
            probabilities = judge_orders(judge, votes, on_progress)
        calibration = fit_calibration(probabilities, labels, prompts, source=source, weights=weights)
        _write_run(folder, name, device, scale, calibration)
    return calibration


def _rewards(
    judge: Judge, votes: Sequence[Comparison], on_progress: Callable[[int, int], None] | None
) -> NDArray[np.float64]:
    """[votes, 2], of A and B."""
    conversations = [side for row in votes for side in row.conversations]
    count = None if on_progress is None else cumulative_progress(len(conversations), on_progress)
    scores = judge.score_many(conversations, on_progress=count)
    return np.array([score.reward for score in scores]).reshape(-1, 2)


def _reward_scale(
    rewards: NDArray[np.float64], labels: Sequence[tuple[float, float, float]], weights: NDArray[np.float64] | None
) -> RewardScale:
    from tiebreak.models import RewardScale

    has_ties = any(vote[2] for vote in labels)
    return RewardScale(
        tie_model="davidson" if has_ties else "bradley-terry",
        tie_parameter=fit_tie_parameter(rewards, labels, weights) if has_ties else 0.0,
        mean=float(rewards.mean()),
        deviation=float(rewards.std()) or 1.0,
    )


def _probabilities(rewards: NDArray[np.float64], scale: RewardScale) -> NDArray[np.float64]:
    """[votes, 1, 3]: a reward model has the same verdict in both orders."""
    from scipy.special import softmax

    logits = outcome_logits(rewards[:, 0], rewards[:, 1], scale.tie_model, scale.tie_parameter)
    probabilities: NDArray[np.float64] = softmax(logits, axis=-1)
    return probabilities[:, None]


def _write_run(
    folder: RunFolder, name: str, device: str | None, scale: RewardScale | None, calibration: Calibration
) -> None:
    import torch

    from tiebreak.models import default_device, published_judge, write_card

    card, tokenizer = published_judge(name, default_device() if device is None else torch.device(device))
    change = {"calibration": calibration} if scale is None else {"calibration": calibration, "rewards": scale}
    with translate_write_errors(folder.model):
        folder.model.mkdir()
        tokenizer.save_pretrained(str(folder.model))
    path = Path(name)
    location = str(path.resolve()) if path.exists() else name
    write_card(folder.model, card.model_copy(update={**change, "base_model": location}))
