"""Calibrate and validate a trained judge, and keep the validation rows: shared by language models and baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tiebreak.calibration import Calibration, fit_calibration
from tiebreak.metrics import preference_metrics
from tiebreak.recipe import DataSection
from tiebreak.runs import RunFolder, write_training_prompts, write_validation_rows
from tiebreak.training.splits import SplitVotes, calibration_source, validation_source
from tiebreak.types import Comparison
from tiebreak.weights import row_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def calibrate(
    probabilities: NDArray[np.float64], comparisons: Sequence[Comparison], settings: DataSection,
    log: Callable[[str], None],
) -> Calibration:  # fmt: skip
    """Fit a calibration and log it.

    Args:
        probabilities: [rows, orders, 3] over `OUTCOMES`; A is the same answer in every order.
        comparisons: [rows], with votes.
        settings: the recipe's `data` section, which names the source of the rows.
        log: called with the result in words.
    """
    votes = [row.required_vote() for row in comparisons]
    prompts = [row.folded_prompt for row in comparisons]
    calibration = fit_calibration(
        probabilities, votes, prompts, source=calibration_source(settings), weights=row_weights(comparisons)
    )
    log(str(calibration))
    return calibration


def validate(
    probabilities: NDArray[np.float64], comparisons: Sequence[Comparison], calibration: Calibration | None
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Calibrated probabilities [rows, 3] and their metrics; with a calibration, `uncalibrated_*` metrics too."""
    votes, weights = [row.required_vote() for row in comparisons], row_weights(comparisons)
    metrics = preference_metrics(probabilities, votes, weights)
    if calibration is None:
        return probabilities, metrics
    calibrated = calibration.apply(probabilities)
    uncalibrated = {f"uncalibrated_{name}": value for name, value in metrics.items()}
    return calibrated, preference_metrics(calibrated, votes, weights) | uncalibrated


def keep_rows(folder: RunFolder, votes: SplitVotes, settings: DataSection) -> None:
    """Write the validation rows and the hashes of the training prompts into the run folder."""
    write_validation_rows(folder, votes.validation, validation_source(settings))
    write_training_prompts(folder, votes.training)
