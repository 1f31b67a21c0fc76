"""All metrics of probabilities against votes, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.metrics.bootstrap import Bootstrap, Estimate, divide
from tiebreak.metrics.calibration_curve import BinnedCurve, CalibrationCurve, bin_probabilities
from tiebreak.metrics.log_loss import log_loss_per_row, validate_rows
from tiebreak.types import OUTCOMES, Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tiebreak.metrics.bootstrap import Measure

TOP = "top"
"""The event that the most likely outcome is the voted one."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of probabilities against votes. See `evaluate`."""

    rows: int
    groups: int
    """The number of groups that the bootstrap resamples."""
    resamples: int
    level: float
    metrics: dict[str, Estimate]
    confusion: tuple[tuple[int, ...], ...]
    """[3, 3]: rows are the voted outcomes, columns the most likely outcomes, both in the order of `OUTCOMES`."""
    curves: tuple[CalibrationCurve, ...]
    """For `top` and each outcome, with bins of equal width and of equal mass."""
    undefined: dict[str, str]
    """Metrics that are undefined for these votes, and why."""
    knows_ties: bool
    """Whether any row gives a tie a probability above 0. A Bradley-Terry reward model never does."""
    ties: int
    """The number of votes with a share for a tie. If `knows_ties` is False, each adds up to 34.5 nats to the sum of the
    log losses, and the mean log loss says little else than their number."""

    @property
    def uniform_loss(self) -> float:
        """Log loss of a uniform guess: log 3, or log 2 if the judge does not predict ties."""
        return float(np.log(3 if self.knows_ties else 2))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "rows": self.rows,
            "groups": self.groups,
            "resamples": self.resamples,
            "level": self.level,
            "metrics": {name: estimate.to_dict() for name, estimate in self.metrics.items()},
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
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Evaluation:
    """Compute metrics of probabilities against votes, with intervals by the bootstrap over groups of rows.

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
        groups: as in `Bootstrap`: rows of one group, such as one prompt, are not independent.
        resamples: as in `Bootstrap`; 1,000 resamples of 57,000 rows take about 8 seconds on two cores.
        seed: as in `Bootstrap`.
        level: as in `Bootstrap`.

    Raises:
        ComparisonsError: there are no rows, or as in `validate_rows` and `Bootstrap`.
    """
    p, targets = validate_rows(probabilities, votes)
    bootstrap = Bootstrap(len(p), groups, resamples=resamples, seed=seed, level=level)
    voted, predicted = targets.argmax(axis=1), p.argmax(axis=1)
    estimates = _mean_metrics(p, targets, bootstrap)
    curves, calibration_errors = _calibration_metrics(p, targets, bootstrap)
    areas, undefined = _auc_metrics(p, voted, bootstrap)
    confusion = np.bincount(voted * 3 + predicted, minlength=9).reshape(3, 3).tolist()
    return Evaluation(
        len(p), bootstrap.groups, resamples, level, estimates | calibration_errors | areas,
        tuple(map(tuple, confusion)), curves, _undefined_by_outcome(voted) | undefined,
        knows_ties=bool(p[:, 2].any()), ties=int((targets[:, 2] > 0).sum()),
    )  # fmt: skip


def _mean_metrics(p: NDArray[np.float64], targets: NDArray[np.float64], bootstrap: Bootstrap) -> dict[str, Estimate]:
    """Log loss, accuracy and Brier score over all rows; log loss and accuracy by voted outcome."""
    voted = np.eye(3)[targets.argmax(axis=1)]
    losses = log_loss_per_row(p, targets)[:, None]
    correct = (p.argmax(axis=1) == targets.argmax(axis=1)).astype(np.float64)[:, None]
    brier = ((p - targets) ** 2).sum(axis=1, keepdims=True)
    ones = np.ones_like(losses)
    names = ["loss", "accuracy", "brier", *(f"{m}_{o}" for m in ("loss", "accuracy") for o in OUTCOMES)]
    estimates = bootstrap.ratios(
        np.concatenate([losses, correct, brier, losses * voted, correct * voted], axis=1),
        np.concatenate([ones, ones, ones, voted, voted], axis=1),
        bounds=(0.0, [1.0 if name.startswith("accuracy") else np.inf for name in names]),
    )
    return {name: e for name, e in zip(names, estimates, strict=True) if not np.isnan(e.value)}


def _undefined_by_outcome(voted: NDArray[np.intp]) -> dict[str, str]:
    """The metrics by outcome that `_mean_metrics` leaves out."""
    return {
        f"{metric}_{outcome}": f"no votes for {outcome}"
        for i, outcome in enumerate(OUTCOMES)
        if not (voted == i).any()
        for metric in ("loss", "accuracy")
    }


def _calibration_metrics(
    p: NDArray[np.float64], targets: NDArray[np.float64], bootstrap: Bootstrap
) -> tuple[tuple[CalibrationCurve, ...], dict[str, Estimate]]:
    """Calibration curves, with intervals of the observed frequencies, and calibration errors."""
    from scipy import sparse

    rows, top = np.arange(len(p)), p.argmax(axis=1)
    events = [(TOP, p[rows, top], targets[rows, top])]
    events += [(outcome, p[:, i], targets[:, i]) for i, outcome in enumerate(OUTCOMES)]
    curves = [bin_probabilities(*event, binning=b) for b in ("equal-width", "equal-mass") for event in events]
    sums = bootstrap.group_sums(sparse.hstack([curve.statistics() for curve in curves], format="csr"))
    starts = np.cumsum([0, *(3 * curve.count for curve in curves)])

    def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        totals = weights @ sums
        frequencies, errors = [], []
        for start, curve in zip(starts[:-1], curves, strict=True):
            count, predicted, observed = np.split(totals[:, start : start + 3 * curve.count], 3, axis=1)
            frequencies.append(divide(observed, count))
            errors.append(np.abs(observed - predicted).sum(axis=1) / count.sum(axis=1))
        classwise = np.mean(errors[1 : 1 + len(OUTCOMES)], axis=0)
        return np.concatenate([np.stack([*errors, classwise], axis=1), *frequencies], axis=1)

    estimates = iter(bootstrap.estimates(measure, bounds=(0.0, 1.0)))
    calibration_errors = {name: next(estimates) for name in (*map(_error_name, curves), "ece_classwise")}
    intervals = [[(e.low, e.high) for e in islice(estimates, curve.count)] for curve in curves]
    return tuple(map(BinnedCurve.curve, curves, intervals)), calibration_errors


def _error_name(curve: BinnedCurve) -> str:
    name = "ece" if curve.of == TOP else f"ece_{curve.of}"
    return name if curve.binning == "equal-width" else f"{name}_equal_mass"


def _auc_metrics(
    p: NDArray[np.float64], voted: NDArray[np.intp], bootstrap: Bootstrap
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """The AUC of each outcome and their mean, and why some are undefined."""
    defined = [i for i in range(len(OUTCOMES)) if 0 < (voted == i).sum() < len(voted)]
    one_outcome = f"all {len(voted):,} votes are {OUTCOMES[voted[0]]}; the AUC needs votes for two outcomes"
    undefined = {
        f"auc_{outcome}": one_outcome if (voted == i).any() else f"no votes for {outcome}"
        for i, outcome in enumerate(OUTCOMES)
        if i not in defined
    }
    if not defined:
        return {}, undefined | {"auc": one_outcome}
    areas = [_auc_measure(p[:, i], voted == i, bootstrap.codes) for i in defined]

    def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        by_outcome = np.concatenate([area(weights) for area in areas], axis=1)
        return np.concatenate([by_outcome.mean(axis=1, keepdims=True), by_outcome], axis=1)

    names = ["auc", *(f"auc_{OUTCOMES[i]}" for i in defined)]
    return dict(zip(names, bootstrap.estimates(measure, bounds=(0.0, 1.0)), strict=True)), undefined


def _auc_measure(scores: NDArray[np.float64], positive: NDArray[np.bool_], codes: NDArray[np.intp]) -> Measure:
    """The area under the ROC curve as a function of the weights of the groups: [n, groups] -> [n, 1].

    It is the Mann-Whitney statistic with weights: rows are sorted once, and each resample only changes their weights.
    The area is NaN if a resample has no positive or no negative rows.

    Args:
        scores: [rows].
        positive: [rows].
        codes: [rows], the group of each row.
    """
    order = np.argsort(scores, kind="stable")
    sorted_scores = scores[order]
    starts = np.flatnonzero(np.r_[True, sorted_scores[1:] != sorted_scores[:-1]])  # of runs of equal scores
    sorted_codes, sorted_positive = codes[order], positive[order].astype(np.float64)

    def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        row_weights = weights[:, sorted_codes]
        positives = row_weights * sorted_positive
        if len(starts) < len(sorted_scores):
            row_weights = np.add.reduceat(row_weights, starts, axis=1)
            positives = np.add.reduceat(positives, starts, axis=1)
        negatives = row_weights - positives
        negatives_below = np.cumsum(negatives, axis=1) - negatives / 2
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        return divide((positives * negatives_below).sum(axis=1), pairs)[:, None]

    return measure
