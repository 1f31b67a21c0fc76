"""Area under the ROC curve, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiebreak.metrics.intervals import Estimate, GroupedRows
from tiebreak.types import OUTCOMES
from tiebreak.weights import effective_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

RARE_WEIGHT = 0.125
"""Chosen by simulation: with 0 an area of 0.985 of 200 rows is inside in 91 % of samples, with 0.5 in 99 %."""


def auc_metrics(
    p: NDArray[np.float64], voted: NDArray[np.intp], grouped: GroupedRows
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """The one-vs-rest AUC of each outcome and their mean, and why some are undefined.

    The variance is that of E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson (1988), "Comparing the areas under two
    or more correlated receiver operating characteristic curves", summed over groups as in N. A. Obuchowski (1997),
    "Nonparametric analysis of clustered ROC curve data". An area of 1 has no variance; its effective sample size is
    the smaller number of positive and negative rows. As an area near 1 depends on a few rows, `RARE_WEIGHT` groups of
    average size in each class add to the variance as if all of their rows were ranked wrong. With weights a pair of
    rows counts by the product of its weights, and numbers of rows are effective sample sizes.

    Args:
        p: [rows, 3], the probabilities.
        voted: [rows], the voted outcomes.
        grouped: the same rows.
    """
    defined = [i for i in range(len(OUTCOMES)) if 0 < (voted == i).sum() < len(voted)]
    one_outcome = f"all {len(voted):,} votes are {OUTCOMES[voted[0]]}; the AUC needs votes for two outcomes"
    undefined = {
        f"auc_{outcome}": one_outcome if (voted == i).any() else f"no votes for {outcome}"
        for i, outcome in enumerate(OUTCOMES)
        if i not in defined
    }
    if not defined:
        return {}, undefined | {"auc": one_outcome}
    weights = np.ones(len(p)) if grouped.weights is None else grouped.weights
    parts = [_area(p[:, i], voted == i, weights) for i in defined]
    areas = np.array([area for area, _ in parts])
    influence = np.stack([of_area for _, of_area in parts], axis=1)
    positives = np.array([weights[voted == i].sum() for i in defined])
    smaller = np.array([min(effective_rows(weights[voted == i]), effective_rows(weights[voted != i])) for i in defined])
    size = grouped.total / grouped.groups
    misranked = (size * areas) ** 2 * (1 / positives**2 + 1 / (grouped.total - positives) ** 2) * RARE_WEIGHT
    estimates = grouped.smooth_proportions(
        np.append(areas.mean(), areas),
        np.column_stack([influence.mean(axis=1), influence]),
        degrees=np.append(smaller.min(), smaller) - 1,
        extreme=np.append(smaller.min(), smaller),
        added=np.append(misranked.sum() / len(defined) ** 2, misranked),
    )
    names = ["auc", *(f"auc_{OUTCOMES[i]}" for i in defined)]
    return dict(zip(names, estimates, strict=True)), undefined


def _area(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """The area under the ROC curve, which is the Mann-Whitney statistic, and the influence of each row, [rows]."""
    total = weights[positive].sum(), weights[~positive].sum()
    share = np.empty(len(scores))  # of the rows of the other class that this row is ranked right against
    share[positive] = _weight_below(scores[~positive], weights[~positive], scores[positive]) / total[1]
    share[~positive] = 1 - _weight_below(scores[positive], weights[positive], scores[~positive]) / total[0]
    area = float(np.average(share[positive], weights=weights[positive]))
    return area, weights * (share - area) / np.where(positive, *total)


def _weight_below(
    others: NDArray[np.float64], weights: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The weight of the other scores that are below each score; equal ones count half."""
    order = np.argsort(others, kind="stable")
    below = np.append(0.0, weights[order].cumsum())
    left, right = (np.searchsorted(others[order], scores, side=side) for side in ("left", "right"))
    half_sums: NDArray[np.float64] = (below[left] + below[right]) / 2
    return half_sums
