"""Choosing a calibration map for a judge by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from tiebreak.calibration.maps import CalibrationMap, Method, fit_map
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.metrics.calibration_curve import bin_probabilities
from tiebreak.metrics.cross_validation import FOLDS, group_folds
from tiebreak.metrics.log_loss import cross_entropies
from tiebreak.types import OUTCOMES, Vote
from tiebreak.weights import effective_rows, total_weight, validate_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

METHODS: Final[tuple[Method, ...]] = ("none", "temperature", "vector", "dirichlet")
"""In the order of their number of parameters."""

MIN_ROWS: Final = 100
"""The fewest rows to calibrate on. With fewer, the standard error of the log loss exceeds 0.05, while calibration
improves it by a few thousandths to a few hundredths."""

MIN_ROWS_PER_OUTCOME: Final = 10
"""The fewest ties, and votes for an answer, from which their probability can be estimated."""

_NAMES: Final[dict[Method, str]] = {
    "none": "none",
    "temperature": "temperature scaling",
    "vector": "vector scaling",
    "dirichlet": "Dirichlet calibration",
}


class _FrozenModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Candidate(_FrozenModel):
    """The cross-validated metrics of one kind of map."""

    method: Method
    loss: float
    """Log loss in nats."""
    error: float
    """Expected calibration error, from 0 to 1."""
    gain: float
    """By how much the log loss is lower than without calibration."""
    gain_error: float
    """Standard error of `gain`, over prompts."""

    @property
    def name(self) -> str:
        """The name of the method in a sentence."""
        return _NAMES[self.method]


class Calibration(_FrozenModel):
    """A fitted map, and how it was chosen."""

    map: CalibrationMap
    votes: str
    """Where the rows came from: a file name or a description."""
    rows: int
    prompts: int
    orders: int
    """In how many orders each row was judged: 2 for a pairwise judge, 1 for a judge that is symmetric by design."""
    candidates: tuple[Candidate, ...]
    """All methods that were compared, in the order of `METHODS`."""

    @property
    def method(self) -> Method:
        """The kind of map."""
        return self.map.method

    @property
    def name(self) -> str:
        """The name of the method in a sentence."""
        return _NAMES[self.method]

    def candidate(self, method: Method) -> Candidate:
        """The metrics of one method."""
        return next(candidate for candidate in self.candidates if candidate.method == method)

    def apply(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities [n, 3] for the probabilities [n, 3] over `OUTCOMES` of a single order.

        To average two orders, apply it to each order first: it was fitted to single orders.
        """
        return self.map.apply(probabilities)

    def __str__(self) -> str:
        before, after = self.candidate("none"), self.candidate(self.method)
        rows = f"{pluralize(self.rows, 'row')} of {self.votes}"
        if self.method == "none":
            best = max(self.candidates[1:], key=lambda candidate: candidate.gain)
            return (
                f"Not calibrated: on {rows} no method lowers the log loss by more than a standard error "
                f"({before.loss:.4f}; {best.name} {best.loss:.4f}; cross-validated)."
            )
        return (
            f"Calibrated by {after.name} on {rows}: log loss {before.loss:.4f} -> {after.loss:.4f}, calibration error "
            f"{before.error:.3f} -> {after.error:.3f} (cross-validated)."
        )


def check_calibration_votes(
    votes: Sequence[Vote],
    prompts: Sequence[str],
    source: str,
    remedy: str,
    weights: NDArray[np.float64] | None = None,
) -> None:
    """Check, before hours of training or judging, that these votes are enough to calibrate on.

    Votes without any tie are enough: temperature scaling is then the only candidate, because the other maps need ties.

    Args:
        votes: [rows], one-hot or soft.
        prompts: [rows]. Rows with the same text are one group.
        source: what the votes are; the message begins with it.
        remedy: what to do, as a sentence.
        weights: [rows]; None if all rows count the same. With weights the effective number of rows is compared with
            `MIN_ROWS`.

    Raises:
        DataError: there are fewer than `MIN_ROWS` rows or `FOLDS` prompts; or votes for an answer, or ties if there are
            any, are fewer than `MIN_ROWS_PER_OUTCOME`.
    """
    rows, unique_prompts = len(votes), len(set(prompts))
    ties = sum(vote[2] for vote in votes)
    reason = None
    if weights is not None and effective_rows(weights) < MIN_ROWS:
        reason = (
            f"{pluralize(rows, 'weighted row')} count as {effective_rows(weights):.1f} rows of equal weight, which are "
            f"too few to calibrate on (at least {MIN_ROWS})"
        )
    elif rows < MIN_ROWS:
        reason = f"{pluralize(rows, 'row')} are too few to calibrate on (at least {MIN_ROWS})"
    elif 0 < ties < MIN_ROWS_PER_OUTCOME:
        reason = (
            f"{ties:.3g} ties in {rows:,} votes are too few to calibrate on (at least {MIN_ROWS_PER_OUTCOME}, or none)"
        )
    elif rows - ties < MIN_ROWS_PER_OUTCOME:
        reason = (
            f"{rows - ties:.3g} votes for an answer in {rows:,} votes are too few to calibrate on (at least "
            f"{MIN_ROWS_PER_OUTCOME})"
        )
    elif unique_prompts < FOLDS:
        reason = (
            f"{pluralize(unique_prompts, 'prompt')} in {rows:,} rows are too few to calibrate on (at least {FOLDS})"
        )
    if reason is not None:
        raise DataError(f"{source}: {reason}. {remedy}")


def fit_calibration(
    probabilities: ArrayLike,
    votes: Sequence[Vote],
    prompts: Sequence[str],
    *,
    source: str = "votes",
    weights: ArrayLike | None = None,
) -> Calibration:
    """Choose a kind of map by cross-validation, and fit it to all rows.

    Methods are compared by their mean log loss in a cross-validation with `FOLDS` folds; rows with the same prompt stay
    in one fold. The simplest method is chosen whose log loss exceeds the lowest by at most one standard error of the
    difference, over prompts (the one-standard-error rule of Breiman et al. 1984, "Classification and regression
    trees", on paired differences). A calibration is therefore kept only if it is better than none by more than that.

    Single orders are calibrated; for a pairwise judge that is both orders of each row. The mean of two orders is less
    confident than a single order, so no map fits both, and a single order is available in every mode of judging.

    Args:
        probabilities: [rows, orders, 3] over `OUTCOMES`, aligned so that A is the same answer in both orders.
        votes: [rows], one-hot or soft. The judge was not trained on these rows.
        prompts: [rows]. Rows with the same text are in the same fold.
        source: what the rows are, for messages and `Calibration.votes`.
        weights: [rows], above 0: how many rows each counts as. None if each counts as one.

    Raises:
        ValueError: shapes differ, or a row of probabilities does not sum to 1.
        DataError: as in `check_calibration_votes`, or there are votes for an outcome of probability 0.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    targets = np.asarray(votes, dtype=np.float64)
    rows = len(targets)
    if p.ndim != 3 or p.shape[::2] != (rows, len(OUTCOMES)) or len(prompts) != rows:
        raise ValueError(
            f"probabilities of shape {p.shape} and {len(prompts)} prompts do not match {rows} votes: give "
            f"[{rows}, orders, {len(OUTCOMES)}] and one prompt per vote"
        )
    w = validate_weights(weights, rows, positive=True)
    check_calibration_votes(votes, prompts, source, "Give more votes.", w)
    impossible = ((p == 0) & (targets[:, None] > 0)).any(axis=(1, 2))
    if impossible.any():
        raise DataError(
            f"{source}: {pluralize(int(impossible.sum()), 'vote')} for an outcome to which the judge gives no "
            "probability, such as ties with model.tie_model=bradley-terry. Calibration cannot change that: remove "
            "these rows."
        )
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(prompt, len(numbers)) for prompt in prompts])
    calibrated = _cross_validate(p, targets, groups, w)
    losses = {method: _row_losses(q, targets) for method, q in calibrated.items()}
    candidates = tuple(
        _candidate(method, losses[method], losses["none"], _calibration_error(q, targets, w), groups, w)
        for method, q in calibrated.items()
    )
    return Calibration(
        map=fit_map(_choose(losses, groups, w), p, targets, w), votes=source, rows=rows, prompts=len(numbers),
        orders=p.shape[1], candidates=candidates,
    )  # fmt: skip


def _candidate(
    method: Method,
    losses: NDArray[np.float64],
    uncalibrated: NDArray[np.float64],
    error: float,
    groups: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
) -> Candidate:
    gains = uncalibrated - losses
    return Candidate(
        method=method,
        loss=float(np.average(losses, weights=weights)),
        error=error,
        gain=float(np.average(gains, weights=weights)),
        gain_error=_standard_error(gains, groups, weights),
    )


def _cross_validate(
    p: NDArray[np.float64],
    targets: NDArray[np.float64],
    groups: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
) -> dict[Method, NDArray[np.float64]]:
    """By method, probabilities [rows, orders, 3] by maps that were fitted to the other folds."""
    folds = group_folds(groups, weights)
    methods = METHODS if targets[:, 2].any() else METHODS[:2]
    calibrated: dict[Method, NDArray[np.float64]] = {method: p.copy() for method in methods}
    for method in methods[1:]:
        for fold in range(FOLDS):
            held_out = folds == fold
            of_fitted = None if weights is None else weights[~held_out]
            fitted = fit_map(method, p[~held_out], targets[~held_out], of_fitted)
            calibrated[method][held_out] = fitted.apply(p[held_out].reshape(-1, 3)).reshape(-1, *p.shape[1:])
    return calibrated


def _choose(
    losses: dict[Method, NDArray[np.float64]], groups: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> Method:
    """The first method whose mean loss is within a standard error of the lowest."""
    best = min(losses.values(), key=lambda rows: float(np.average(rows, weights=weights)))
    return next(
        method
        for method, rows in losses.items()
        if np.average(rows - best, weights=weights) <= _standard_error(rows - best, groups, weights)
    )


def _row_losses(p: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log loss of each row, the mean over its orders, [rows]."""
    orders = p.shape[1]
    losses = cross_entropies(p.reshape(-1, 3), np.repeat(targets, orders, axis=0))
    means: NDArray[np.float64] = losses.reshape(-1, orders).mean(axis=1)
    return means


def _standard_error(
    differences: NDArray[np.float64], groups: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> float:
    """Standard error of the mean over rows [rows], for independent groups of rows."""
    count = int(groups.max()) + 1
    deviations = differences - np.average(differences, weights=weights)
    sums = np.bincount(groups, deviations if weights is None else weights * deviations, count)
    return float(np.sqrt((sums**2).sum() * count / (count - 1)) / total_weight(weights, len(differences)))


def _calibration_error(
    p: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> float:
    """Expected calibration error of the likeliest outcome."""
    flat, votes = p.reshape(-1, 3), np.repeat(targets, p.shape[1], axis=0)
    correct = votes[np.arange(len(votes)), flat.argmax(axis=1)]
    of_orders = None if weights is None else np.repeat(weights, p.shape[1])
    return bin_probabilities("top", flat.max(axis=1), correct, weights=of_orders).curve().error
