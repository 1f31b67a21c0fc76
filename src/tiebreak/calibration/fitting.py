"""Which map a judge's probabilities are calibrated by: chosen by cross-validation, or none."""

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

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

METHODS: Final[tuple[Method, ...]] = ("none", "temperature", "vector", "dirichlet")
"""The simplest first."""

MIN_ROWS: Final = 100
"""Fewer rows are not calibrated on: their log loss has a standard error of 0.05 and more, a calibration is worth a few
thousandths to a few hundredths."""

MIN_ROWS_PER_OUTCOME: Final = 10
"""Fewer ties, or votes for a winner, say nothing of how likely they are."""

_NAMES: Final[dict[Method, str]] = {
    "none": "none",
    "temperature": "temperature scaling",
    "vector": "vector scaling",
    "dirichlet": "Dirichlet calibration",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Candidate(_Frozen):
    """How good a kind of map is on rows that it was not fitted on, by cross-validation."""

    method: Method
    loss: float
    """Log loss in nats."""
    error: float
    """Expected calibration error, from 0 to 1."""
    gain: float
    """By how much the log loss is lower than without calibration."""
    gain_error: float
    """Standard error of that, over prompts."""

    @property
    def name(self) -> str:
        """The kind of map, in words."""
        return _NAMES[self.method]


class Calibration(_Frozen):
    """A map, and what it was chosen on."""

    map: CalibrationMap
    votes: str
    """What the rows were, in words or by the file's name."""
    rows: int
    prompts: int
    orders: int
    """In how many each row was judged: 2 of a pairwise judge; 1 of a pointwise one, which says the same in both."""
    candidates: tuple[Candidate, ...]
    """All that were tried, the simplest first."""

    @property
    def method(self) -> Method:
        """The kind of map."""
        return self.map.method

    @property
    def name(self) -> str:
        """The kind of map, in words."""
        return _NAMES[self.method]

    def candidate(self, method: Method) -> Candidate:
        """How good one kind was."""
        return next(candidate for candidate in self.candidates if candidate.method == method)

    def apply(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities [n, 3] of probabilities [n, 3] over `OUTCOMES` as the judge gives them in one order.

        To be applied to each order before the mean is taken: on single orders it was fitted.
        """
        return self.map.apply(probabilities)

    def __str__(self) -> str:
        before, after = self.candidate("none"), self.candidate(self.method)
        on = f"{pluralize(self.rows, 'row')} of {self.votes}"
        if self.method == "none":
            best = max(self.candidates[1:], key=lambda candidate: candidate.gain)
            return (
                f"Probabilities stay as they are: on {on} no calibration was better by more than a standard error (log "
                f"loss {before.loss:.4f}; {best.name} {best.loss:.4f}, by cross-validation)."
            )
        return (
            f"Calibrated by {after.name} on {on}: log loss {before.loss:.4f} -> {after.loss:.4f}, calibration error "
            f"{before.error:.3f} -> {after.error:.3f} (by cross-validation)."
        )


def check_calibration_votes(votes: Sequence[Vote], prompts: Sequence[str], source: str, remedy: str) -> None:
    """Say early, before hours of training or judging, that nothing can be calibrated on these votes.

    Votes without any tie are fit: of maps that know no side only temperature scaling is left then, since nothing tells
    how likely ties are.

    Args:
        votes: [rows], one-hot or soft.
        prompts: [rows], the same text for rows that have the same prompt.
        source: what they are, in the words the message begins with.
        remedy: what to do about it, in a sentence.

    Raises:
        DataError: there are fewer than `MIN_ROWS`; ties, or votes for a winner, are fewer than
            `MIN_ROWS_PER_OUTCOME`; or there are fewer than `FOLDS` prompts.
    """
    rows = len(votes)
    if rows < MIN_ROWS:
        raise DataError(f"{source}: {pluralize(rows, 'row')}, too few to calibrate on (at least {MIN_ROWS}). {remedy}")
    ties = sum(vote[2] for vote in votes)
    if 0 < ties < MIN_ROWS_PER_OUTCOME:
        raise DataError(
            f"{source}: of {rows:,} votes {ties:.3g} for a tie, too few to calibrate on (at least "
            f"{MIN_ROWS_PER_OUTCOME}, or none at all). {remedy}"
        )
    if rows - ties < MIN_ROWS_PER_OUTCOME:
        raise DataError(
            f"{source}: of {rows:,} votes {rows - ties:.3g} for a winner, too few to calibrate on (at least "
            f"{MIN_ROWS_PER_OUTCOME}). {remedy}"
        )
    if len(set(prompts)) < FOLDS:
        raise DataError(
            f"{source}: {pluralize(len(set(prompts)), 'prompt')} in {rows:,} rows, too few to calibrate on (at least "
            f"{FOLDS}). {remedy}"
        )


def fit_calibration(
    probabilities: ArrayLike, votes: Sequence[Vote], prompts: Sequence[str], *, source: str = "votes"
) -> Calibration:
    """Fit each kind of map, and choose the simplest of those that are as good as the best.

    Kinds are compared by their mean log loss in a `FOLDS`-fold cross-validation in which rows with the same prompt stay
    together. As good as the best is a kind whose log loss is not higher by more than one standard error of the
    difference, over prompts (the one-standard-error rule of Breiman et al. 1984, "Classification and regression trees",
    on paired differences): so no calibration is kept that is not better than none by more than that. The chosen kind is
    then fitted on all rows.

    Single orders of a comparison are what is calibrated, of a pairwise judge both of each row. A mean of two orders is
    less certain than either, so that one map cannot suit both, and the single order is what there always is; its
    calibration goes into a mean as well.

    Args:
        probabilities: [rows, orders, 3] over `OUTCOMES`, in each order as the judge gave them, but with A the same
            answer in both.
        votes: [rows], one-hot or soft, that the judge never learned from.
        prompts: [rows], the same text for rows that have the same prompt.
        source: what the rows are, in words.

    Raises:
        ValueError: the shapes do not go together, or the probabilities are none.
        DataError: as in `check_calibration_votes`; or there are votes for what the judge holds impossible.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    target = np.asarray(votes, dtype=np.float64)
    rows = len(target)
    if given.ndim != 3 or given.shape[::2] != (rows, len(OUTCOMES)) or len(prompts) != rows:
        raise ValueError(f"{given.shape} probabilities and {len(prompts)} prompts do not go with {rows} votes")
    check_calibration_votes(votes, prompts, source, "Give more votes.")
    orders = given.shape[1]
    losses = {"none": _losses(given, target)}
    impossible = ((given == 0) & (target[:, None] > 0)).any(axis=(1, 2))
    if impossible.any():
        raise DataError(
            f"{source}: {pluralize(int(impossible.sum()), 'vote')} for what the judge holds impossible, as ties are to "
            "model.tie_model=bradley-terry. No calibration mends that: leave these rows out."
        )
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(prompt, len(numbers)) for prompt in prompts])
    folds = group_folds(groups)
    judged = {"none": given}
    methods = METHODS if target[:, 2].any() else METHODS[:2]
    for method in methods[1:]:
        out_of_fold_blend = np.empty_like(given)
        for fold in range(FOLDS):
            held_out = folds == fold
            fitted = fit_map(method, given[~held_out], target[~held_out])
            out_of_fold_blend[held_out] = fitted.apply(given[held_out].reshape(-1, 3)).reshape(-1, orders, 3)
        judged[method] = out_of_fold_blend
        losses[method] = _losses(out_of_fold_blend, target)
    best = min(methods, key=lambda method: losses[method].mean())
    chosen = next(
        method
        for method in methods
        if (losses[method] - losses[best]).mean() <= _standard_error(losses[method] - losses[best], groups)
    )
    return Calibration(
        map=fit_map(chosen, given, target),
        votes=source,
        rows=rows,
        prompts=len(numbers),
        orders=orders,
        candidates=tuple(
            Candidate(
                method=method,
                loss=float(losses[method].mean()),
                error=_calibration_error(judged[method], target),
                gain=float((losses["none"] - losses[method]).mean()),
                gain_error=_standard_error(losses["none"] - losses[method], groups),
            )
            for method in methods
        ),
    )


def _losses(given: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """[rows], the mean over the orders of each."""
    orders = given.shape[1]
    votes = [tuple(vote) for vote in np.repeat(target, orders, axis=0).tolist()]
    losses: NDArray[np.float64] = cross_entropies(given.reshape(-1, 3), votes).reshape(-1, orders).mean(axis=1)
    return losses


def _standard_error(differences: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Of the mean over rows, whose groups are drawn independently of each other."""
    count = int(groups.max()) + 1
    sums = np.bincount(groups, weights=differences - differences.mean(), minlength=count)
    return float(np.sqrt((sums**2).sum() * count / (count - 1)) / len(differences))


def _calibration_error(given: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """The expected one, of whatever outcome is the likeliest."""
    flat, votes = given.reshape(-1, 3), np.repeat(target, given.shape[1], axis=0)
    right = votes[np.arange(len(votes)), flat.argmax(axis=1)]
    return bin_probabilities("top", flat.max(axis=1), right).curve().error
