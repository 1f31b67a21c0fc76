"""Validate the trained model and write it, its predictions and its metrics into the run folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tiebreak.answer_order import align_orders, swap_outcomes
from tiebreak.calibration import Calibration
from tiebreak.models import NANO, JudgeCard, RewardHead, RewardScale, judge_head, save_trained
from tiebreak.recipe import ModelSection, Recipe
from tiebreak.runs import Orders, RunFolder, write_json, write_orders, write_predictions
from tiebreak.text import AddedTokens
from tiebreak.training.distributed import is_rank_zero
from tiebreak.training.tokenised_votes import TokenisedVotes
from tiebreak.training.trainer import JudgeTrainer
from tiebreak.training.validation import calibrate, validate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def save_results(
    recipe: Recipe, folder: RunFolder, trainer: JudgeTrainer, tokenised: TokenisedVotes, *, tokens_per_pass: int,
    log: Callable[[str], None],
) -> dict[str, float]:  # fmt: skip
    """Calibrate if the recipe asks for it, validate, and write the results; returns the metrics.

    All processes compute, rank zero writes. `metrics.json` is written last: it marks the run as finished.
    """
    validation = tokenised.votes.validation
    calibration = _fit_calibration(recipe, trainer, tokenised, log)
    outputs = trainer.outputs(tokenised.validation)
    probabilities, metrics = validate(trainer.probabilities(outputs), validation, calibration)
    orders = None
    if _orders_are_quick(recipe.model, trainer):
        orders = _both_orders(probabilities, trainer, tokenised, calibration)
    head = judge_head(trainer.network)
    rewards = scale = None
    if isinstance(head, RewardHead):
        rewards = outputs[..., 0]
        scale = _reward_scale(head, rewards)
        metrics |= {
            "reward_mean": scale.mean, "reward_deviation": scale.deviation, "tie_parameter": scale.tie_parameter,
        }  # fmt: skip
    if is_rank_zero():
        card = JudgeCard(
            base_model=recipe.model.name,
            revision=recipe.model.revision,
            head=recipe.model.head,
            precision=recipe.model.precision,
            compute_dtype=recipe.model.compute_dtype,
            template=tokenised.template.text,
            max_length=recipe.text.max_length,
            added_tokens=AddedTokens.of(tokenised.tokenizer),
            tokens_per_pass=tokens_per_pass,
            calibration=calibration,
            rewards=scale,
        )
        save_trained(folder.model, trainer.network, tokenised.tokenizer, card)
        write_predictions(folder.predictions, validation, probabilities, rewards)
        if orders is not None:
            write_orders(folder, [row.id for row in validation], orders)
        write_json(folder.metrics, metrics)
    return metrics


def _fit_calibration(
    recipe: Recipe, trainer: JudgeTrainer, tokenised: TokenisedVotes, log: Callable[[str], None]
) -> Calibration | None:
    """The calibration, the same on every process; None unless the recipe asks for one."""
    rows = tokenised.votes.calibration
    if not rows:
        return None
    probabilities = trainer.judge(tokenised.calibration).reshape(len(rows), -1, 3)
    return calibrate(align_orders(probabilities), rows, recipe.data, log)


def _orders_are_quick(settings: ModelSection, trainer: JudgeTrainer) -> bool:
    """Whether the judge depends on the order of the answers and can judge again in seconds."""
    return settings.head == "pairwise" and (trainer.args.device.type == "cuda" or settings.name == NANO)


def _both_orders(
    as_given: NDArray[np.float64], trainer: JudgeTrainer, tokenised: TokenisedVotes, calibration: Calibration | None
) -> Orders:
    """The validation rows' calibrated probabilities in both orders; `as_given` are those in the given order."""
    swapped = trainer.judge(tokenised.swapped_validation())
    return Orders(as_given, swap_outcomes(swapped if calibration is None else calibration.apply(swapped)))


def _reward_scale(head: RewardHead, rewards: NDArray[np.float64]) -> RewardScale:
    """The learned tie parameter, and mean and standard deviation of the validation answers' rewards."""
    tie = 0.0 if head.tie_parameter is None else float(head.tie_parameter.detach())
    return RewardScale(
        tie_model=head.tie_model, tie_parameter=tie, mean=float(rewards.mean()), deviation=float(rewards.std())
    )
