"""All that can be said of how good a judge is, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.metrics.bootstrap import Bootstrap, Estimate, divide
from tiebreak.metrics.calibration_curve import BinnedCurve, CalibrationCurve, bin_probabilities
from tiebreak.metrics.log_loss import log_loss_per_row, validate_rows
from tiebreak.types import OUTCOMES, Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tiebreak.metrics.bootstrap import Measure

TOP = "top"
"""The event that the judge's likeliest outcome is the people's."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good probabilities are against votes. See `evaluate`."""

    rows: int
    groups: int
    """How many groups the rows make, of those that are resampled whole."""
    resamples: int
    level: float
    metrics: dict[str, Estimate]
    confusion: tuple[tuple[int, ...], ...]
    """[3, 3], rows by the outcome people voted for and columns by the judge's likeliest, both as `OUTCOMES`."""
    curves: tuple[CalibrationCurve, ...]
    """Of `top` and each outcome, in bins of equal width and of equal mass."""
    undefined: dict[str, str]
    """Metrics that these votes leave undefined, and why."""
    knows_ties: bool
    """Whether a tie gets some probability in any row. Of a reward model by Bradley and Terry it gets none."""
    ties: int
    """Rows whose votes give a tie some share. Where the judge knows no ties each costs up to 34.5 nats, and log loss
    says how many there are and little else."""

    @property
    def uniform_loss(self) -> float:
        """Log loss of a uniform guess among the outcomes that the judge knows: log 3, or log 2 if it knows no ties."""
        return float(np.log(3 if self.knows_ties else 2))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
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
    """Measure probabilities against votes, with intervals by the bootstrap over groups of rows.

    The metrics:

    - `loss`: log loss in nats; 1.0986 for a uniform guess over the three outcomes.
    - `accuracy`: how often the likeliest outcome is the one people voted for.
    - `loss_OUTCOME`, `accuracy_OUTCOME`: both over the rows people voted so (the latter is the recall).
    - `brier`: the squared distance between probabilities and vote summed over the outcomes, from 0 to 2 (G. W. Brier
      (1950), "Verification of forecasts expressed in terms of probability"); 0.6667 for a uniform guess.
    - `ece`, `ece_equal_mass`: calibration error of the likeliest outcome; see `bin_probabilities` for both and sources.
    - `ece_OUTCOME`: of one outcome's probability, in bins of equal width; `ece_classwise`: the mean of the three.
    - `auc_OUTCOME`: the probability that a row of this outcome is given more of it than a row of another, ties half;
      `auc`: their mean, which scikit-learn calls one-vs-rest and macro.

    A soft vote counts as a whole in log loss, Brier and calibration; where one outcome is needed, it is the likeliest.

    Args:
        probabilities: [rows, 3] over `OUTCOMES`; each row sums to 1.
        votes: [rows], one-hot or soft.
        groups: [rows], as in `Bootstrap`: rows that are no independent witnesses, such as those of one prompt.
        resamples: as in `Bootstrap`; a thousand of 57,000 rows take about 8 seconds on two cores.
        seed: as in `Bootstrap`.
        level: as in `Bootstrap`.

    Raises:
        ComparisonsError: there are no rows, what `validate_rows` says, or what `Bootstrap` says.
    """
    given, target = validate_rows(probabilities, votes)
    bootstrap = Bootstrap(len(given), groups, resamples=resamples, seed=seed, level=level)
    voted, judged = target.argmax(axis=1), given.argmax(axis=1)
    estimates = _of_means(given, target, bootstrap)
    curves, errors = _calibration(given, target, bootstrap)
    estimates |= errors
    undefined = {
        f"{name}_{outcome}": f"nobody voted {outcome}"
        for i, outcome in enumerate(OUTCOMES)
        if not (voted == i).any()
        for name in ("loss", "accuracy")
    }
    ranked = [i for i in range(len(OUTCOMES)) if 0 < (voted == i).sum() < len(voted)]
    undefined |= {f"auc_{o}": _unranked(voted, i) for i, o in enumerate(OUTCOMES) if i not in ranked}
    if ranked:
        areas = [area_measure(given[:, i], voted == i, bootstrap.codes) for i in ranked]
        estimates |= _areas([OUTCOMES[i] for i in ranked], areas, bootstrap)
    else:
        undefined["auc"] = _one_outcome(voted)
    confusion = np.bincount(voted * 3 + judged, minlength=9).reshape(3, 3).tolist()
    return Evaluation(
        len(given), bootstrap.groups, resamples, level, estimates, tuple(map(tuple, confusion)), curves, undefined,
        knows_ties=bool(given[:, 2].any()), ties=int((target[:, 2] > 0).sum()),
    )  # fmt: skip


def macro_auc(probabilities: ArrayLike, votes: Sequence[Vote | None]) -> float:
    """The mean over outcomes of the one-vs-rest area under the ROC curve, over those outcomes that people voted for.

    Raises:
        ComparisonsError: all votes are for one outcome, or what `validate_rows` says.
    """
    given, target = validate_rows(probabilities, votes)
    voted = target.argmax(axis=1)
    ranked = [i for i in range(len(OUTCOMES)) if 0 < (voted == i).sum() < len(voted)]
    if not ranked:
        raise ComparisonsError(f"The AUC is undefined: {_one_outcome(voted)}.")
    rows = np.arange(len(voted))
    return float(np.mean([area_measure(given[:, i], voted == i, rows)(np.ones((1, len(rows))))[0, 0] for i in ranked]))


def _one_outcome(voted: NDArray[np.intp]) -> str:
    if not len(voted):
        return "there are no rows"
    return f"all {len(voted):,} votes are {OUTCOMES[voted[0]]}, and it takes rows of two outcomes to rank them"


def _unranked(voted: NDArray[np.intp], outcome: int) -> str:
    return _one_outcome(voted) if (voted == outcome).any() else f"nobody voted {OUTCOMES[outcome]}"


def _of_means(given: NDArray[np.float64], target: NDArray[np.float64], bootstrap: Bootstrap) -> dict[str, Estimate]:
    """Log loss, accuracy and Brier score, over all rows and by the people's outcome."""
    voted = np.eye(3)[target.argmax(axis=1)]
    losses = log_loss_per_row(given, target)[:, None]
    right = (given.argmax(axis=1) == target.argmax(axis=1)).astype(np.float64)[:, None]
    brier = ((given - target) ** 2).sum(axis=1, keepdims=True)
    everywhere = np.ones_like(losses)
    names = ["loss", "accuracy", "brier", *(f"{m}_{o}" for m in ("loss", "accuracy") for o in OUTCOMES)]
    estimates = bootstrap.ratios(
        np.concatenate([losses, right, brier, losses * voted, right * voted], axis=1),
        np.concatenate([everywhere, everywhere, everywhere, voted, voted], axis=1),
        bounds=(0.0, [1.0 if name.startswith("accuracy") else np.inf for name in names]),
    )
    return {name: e for name, e in zip(names, estimates, strict=True) if not np.isnan(e.value)}


def _calibration(
    given: NDArray[np.float64], target: NDArray[np.float64], bootstrap: Bootstrap
) -> tuple[tuple[CalibrationCurve, ...], dict[str, Estimate]]:
    """The curves, with intervals of what was observed, and the calibration errors."""
    from scipy import sparse

    rows, top = np.arange(len(given)), given.argmax(axis=1)
    events = [(TOP, given[rows, top], target[rows, top])]
    events += [(outcome, given[:, i], target[:, i]) for i, outcome in enumerate(OUTCOMES)]
    curves = [bin_probabilities(*event, binning=b) for b in ("equal-width", "equal-mass") for event in events]
    sums = bootstrap.group_sums(sparse.hstack([curve.statistics() for curve in curves], format="csr"))
    starts = np.cumsum([0, *(3 * curve.count for curve in curves)])

    def measure(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        total = counts @ sums
        observed, errors = [], []
        for start, curve in zip(starts[:-1], curves, strict=True):
            number, predicted, seen = np.split(total[:, start : start + 3 * curve.count], 3, axis=1)
            observed.append(divide(seen, number))
            errors.append(np.abs(seen - predicted).sum(axis=1) / number.sum(axis=1))
        classwise = np.mean(errors[1 : 1 + len(OUTCOMES)], axis=0)
        return np.concatenate([np.stack([*errors, classwise], axis=1), *observed], axis=1)

    estimates = bootstrap.estimates(measure, bounds=(0.0, 1.0))
    found = dict(zip([*(_error_name(curve) for curve in curves), "ece_classwise"], estimates, strict=False))
    whole, first = [], len(found)
    for curve in curves:
        some = estimates[first : first + curve.count]
        whole.append(curve.curve([(e.low, e.high) for e in some]))
        first += curve.count
    return tuple(whole), found


def _error_name(curve: BinnedCurve) -> str:
    name = "ece" if curve.of == TOP else f"ece_{curve.of}"
    return name if curve.binning == "equal-width" else f"{name}_equal_mass"


def _areas(outcomes: list[str], areas: list[Measure], bootstrap: Bootstrap) -> dict[str, Estimate]:
    def measure(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        each = np.concatenate([area(counts) for area in areas], axis=1)
        return np.concatenate([each.mean(axis=1, keepdims=True), each], axis=1)

    names = ["auc", *(f"auc_{outcome}" for outcome in outcomes)]
    return dict(zip(names, bootstrap.estimates(measure, bounds=(0.0, 1.0)), strict=True))


def area_measure(scores: NDArray[np.float64], positive: NDArray[np.bool_], codes: NDArray[np.intp]) -> Measure:
    """The area under the ROC curve as a measure of how often each group counts: [n, groups] -> [n, 1].

    It is the Mann-Whitney statistic with weights: rows are ranked once, and every draw weighs them anew. Where a draw
    has no rows of one kind it is NaN.

    Args:
        scores: [rows].
        positive: [rows].
        codes: [rows], the number of each row's group.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # of rows with equal scores
    group, right = codes[order], positive[order].astype(np.float64)

    def measure(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = counts[:, group]
        won = weights * right
        if len(starts) < len(ranked):
            weights, won = np.add.reduceat(weights, starts, axis=1), np.add.reduceat(won, starts, axis=1)
        lost = weights - won
        beaten = np.cumsum(lost, axis=1) - lost / 2
        pairs = won.sum(axis=1) * lost.sum(axis=1)
        return divide((won * beaten).sum(axis=1), pairs)[:, None]

    return measure
