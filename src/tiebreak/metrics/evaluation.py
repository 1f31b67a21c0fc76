"""All metrics of probabilities against votes, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.metrics.auc import auc_metrics
from tiebreak.metrics.calibration_curve import CalibrationCurve
from tiebreak.metrics.calibration_error import calibration_metrics
from tiebreak.metrics.intervals import Estimate, GroupedRows, divide
from tiebreak.metrics.log_loss import losses_by_outcome, right_and_wrong, validate_rows
from tiebreak.types import OUTCOMES, Vote
from tiebreak.weights import WeightSummary, summarise_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of probabilities against votes. See `evaluate`."""

    rows: int
    groups: int
    """The number of groups, such as prompts, that the intervals allow for."""
    resamples: int
    """The number of samples of votes behind `expected_if_calibrated`."""
    level: float
    metrics: dict[str, Estimate]
    """By name. Calibration errors have no interval; see `expected_if_calibrated`."""
    expected_if_calibrated: dict[str, Estimate]
    """For each calibration error, its mean over samples of votes that the judge predicts perfectly, and the range of
    the central `level` of them. An error within the range is no evidence that the judge is miscalibrated."""
    confusion: tuple[tuple[float, ...], ...]
    """[3, 3]: rows are the voted outcomes, columns the most likely outcomes, both in the order of `OUTCOMES`. Numbers
    of rows, or with weights the sums of their weights."""
    curves: tuple[CalibrationCurve, ...]
    """For `top` and each outcome, with bins of equal width and of equal mass."""
    undefined: dict[str, str]
    """Metrics that are undefined for these votes, and why."""
    knows_ties: bool
    """Whether any row gives a tie a probability above 0. A Bradley-Terry reward model never does."""
    ties: int
    """The number of votes with a share for a tie. If `knows_ties` is False, each adds up to 34.5 nats to the sum of the
    log losses, and the mean log loss says little else than their number."""
    weights: WeightSummary | None = None
    """None if all rows count the same."""

    @property
    def uniform_loss(self) -> float:
        """Log loss of a uniform guess: log 3, or log 2 if the judge does not predict ties."""
        return float(np.log(3 if self.knows_ties else 2))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "rows": self.rows,
            "weights": None if self.weights is None else self.weights.to_dict(),
            "groups": self.groups,
            "resamples": self.resamples,
            "level": self.level,
            "metrics": {name: estimate.to_dict() for name, estimate in self.metrics.items()},
            "expected_if_calibrated": {
                name: estimate.to_dict() for name, estimate in self.expected_if_calibrated.items()
            },
            "confusion": {"outcomes": list(OUTCOMES), "voted_by_judged": [list(row) for row in self.confusion]},
            "reliability": [curve.to_dict() for curve in self.curves],
            "undefined": self.undefined,
            "knows_ties": self.knows_ties,
            "ties": self.ties,
            "uniform_loss": self.uniform_loss,
        }


def evaluate(
    probabilities: ArrayLike,
    votes: Sequence[Vote | None],
    groups: Sequence[str] | None = None,
    *,
    weights: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Evaluation:
    """Compute metrics of probabilities against votes, with intervals as in `GroupedRows`.

    The metrics:

    - `loss`: log loss in nats; 1.0986 for a uniform guess over the three outcomes.
    - `accuracy`: the share of rows whose most likely outcome is the voted one.
    - `loss_OUTCOME`, `accuracy_OUTCOME`: both over the rows with this vote (the latter is the recall).
    - `brier`: the squared distance of probabilities and vote, summed over the outcomes, from 0 to 2 (G. W. Brier
      (1950), "Verification of forecasts expressed in terms of probability"); 0.6667 for a uniform guess.
    - `ece`, `ece_equal_mass`: calibration error of the most likely outcome; see `bin_probabilities` for the sources.
    - `ece_OUTCOME`: calibration error of one outcome, in bins of equal width; `ece_classwise`: their mean.
    - `auc_OUTCOME`: one-vs-rest area under the ROC curve; `auc`: their mean (scikit-learn's "ovr", "macro").

    Log loss, Brier score and calibration use soft votes as they are; the other metrics use their most likely outcome.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft.
        groups: as in `GroupedRows`: rows of one group, such as one prompt, are not independent.
        weights: [rows], how much each row counts in every metric, as in `GroupedRows`. A row of weight 2 counts as two
            equal rows of one group.
        resamples: the number of samples of votes that `expected_if_calibrated` is computed from.
        seed: the seed of these samples.
        level: as in `GroupedRows`.

    Raises:
        ComparisonsError: `resamples` is below 1, or as in `validate_rows` and `GroupedRows`.
    """
    p, targets = validate_rows(probabilities, votes)
    if resamples < 1:
        raise ComparisonsError(f"resamples is {resamples}: give at least 1.")
    grouped = GroupedRows(len(p), groups, level=level, weights=weights)
    voted, predicted = targets.argmax(axis=1), p.argmax(axis=1)
    estimates = _mean_metrics(p, targets, grouped)
    calibration = calibration_metrics(p, targets, grouped, samples=resamples, seed=seed)
    areas, undefined = auc_metrics(p, voted, grouped)
    confusion = np.bincount(voted * 3 + predicted, grouped.weights, minlength=9).reshape(3, 3).tolist()
    return Evaluation(
        len(p), grouped.groups, resamples, level, estimates | calibration.errors | areas,
        calibration.expected_if_calibrated, tuple(map(tuple, confusion)), calibration.curves,
        _undefined_by_outcome(voted) | undefined,
        knows_ties=bool(p[:, 2].any()), ties=int((targets[:, 2] > 0).sum()),
        weights=summarise_weights(grouped.weights),
    )  # fmt: skip


def _mean_metrics(p: NDArray[np.float64], targets: NDArray[np.float64], grouped: GroupedRows) -> dict[str, Estimate]:
    """Log loss, accuracy and Brier score over all rows; log loss and accuracy by voted outcome."""
    voted, top = np.eye(3)[targets.argmax(axis=1)], np.eye(3)[p.argmax(axis=1)]
    ones = np.ones((len(p), 1))
    correct = (voted * top).sum(axis=1, keepdims=True)
    accuracies = grouped.proportions(np.concatenate([correct, correct * voted], axis=1), np.c_[ones, voted])
    by_outcome = losses_by_outcome(p)
    losses = (targets * by_outcome).sum(axis=1, keepdims=True)
    brier = ((p - targets) ** 2).sum(axis=1, keepdims=True)
    others = [_mean_where(by_outcome, of, grouped) for of in (top, 1 - top)]
    extremes = right_and_wrong(p, targets)
    rare_losses = grouped.average((extremes * by_outcome).sum(axis=2), axis=1)
    rare_brier = grouped.average(((extremes - p) ** 2).sum(axis=2), axis=1)
    rare = np.column_stack([rare_losses, rare_brier, np.stack(others)])
    means = grouped.means(
        np.concatenate([losses, brier, losses * voted], axis=1),
        np.c_[ones, ones, voted],
        rare=rare,
        bounds=(0.0, [np.inf, 2.0, np.inf, np.inf, np.inf]),
    )
    estimates = {"loss": means[0], "accuracy": accuracies[0], "brier": means[1]}
    estimates |= {f"loss_{outcome}": e for outcome, e in zip(OUTCOMES, means[2:], strict=True)}
    estimates |= {f"accuracy_{outcome}": e for outcome, e in zip(OUTCOMES, accuracies[1:], strict=True)}
    return {name: e for name, e in estimates.items() if not np.isnan(e.value)}


def _mean_where(losses: NDArray[np.float64], chosen: NDArray[np.float64], grouped: GroupedRows) -> NDArray[np.float64]:
    """The mean of each column [rows, 3] over its chosen rows; over all rows if none is chosen. [3]"""
    count = grouped.weigh(chosen).sum(axis=0)
    of_chosen = divide(grouped.weigh(losses * chosen).sum(axis=0), count)
    means: NDArray[np.float64] = np.where(count > 0, of_chosen, grouped.average(losses))
    return means


def _undefined_by_outcome(voted: NDArray[np.intp]) -> dict[str, str]:
    """The metrics by outcome that `_mean_metrics` leaves out."""
    return {
        f"{metric}_{outcome}": f"no votes for {outcome}"
        for i, outcome in enumerate(OUTCOMES)
        if not (voted == i).any()
        for metric in ("loss", "accuracy")
    }
