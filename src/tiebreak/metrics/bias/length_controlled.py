"""What would be preferred if both answers were of one length: the regression behind the length-controlled rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.metrics.bootstrap import Bootstrap, Estimate
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIDGE: Final = 0.01
"""Precision of the prior on the coefficients: it keeps them finite where a few rows are told apart."""


def length_controlled(
    labels: Mapping[str, NDArray[np.float64]], t: NDArray[np.float64], bootstrap: Bootstrap
) -> tuple[dict[str, Estimate], dict[str, dict[str, Estimate]]]:
    """Slopes of both and their difference, and what the fits say at equal lengths."""
    one, zero = np.ones_like(t), np.zeros_like(t)
    design = np.stack(
        [np.stack(row, axis=1) for row in ((one, zero, t, zero), (zero, one, -t, zero), (zero, zero, zero, np.abs(t)))],
        axis=1,
    )  # [rows, logits, coefficients]
    fits = [_fit(design, soft) for soft in labels.values()]
    width = design.shape[2]
    statistics = [_slopes(design, soft, fit) for soft, fit in zip(labels.values(), fits, strict=True)]
    sums = bootstrap.group_sums(
        np.concatenate([part.reshape(len(t), -1) for both in statistics for part in both], axis=1)
    )

    def measure(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        total = counts @ sums
        columns, slopes = [], []
        for number, fit in enumerate(fits):
            start = number * (width + width**2)
            slope = total[:, start : start + width] - RIDGE * fit
            curvature = total[:, start + width : start + width + width**2].reshape(-1, width, width)
            step = np.linalg.solve(curvature + RIDGE * np.eye(width), slope[..., None])[..., 0]
            drawn = fit + step
            p = _softmax(np.stack([drawn[:, 0], drawn[:, 1], np.zeros(len(drawn))], axis=1))
            columns += [p, (p[:, 0] + p[:, 2] / 2)[:, None]]
            slopes.append(drawn[:, 2])
        return np.concatenate([*columns, np.stack([*slopes, slopes[0] - slopes[1]], axis=1)], axis=1)

    estimates = iter(bootstrap.estimates(measure))
    controlled = {who: {name: next(estimates) for name in (*OUTCOMES, "win_rate")} for who in labels}
    return {name: next(estimates) for name in (*labels, "excess")}, controlled


def _fit(design: NDArray[np.float64], soft: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients of the multinomial logistic regression: Newton's method, halving steps that go too far."""

    def loss(at: NDArray[np.float64]) -> float:
        logits = design @ at
        top = logits.max(axis=1, keepdims=True)
        normaliser = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
        return float((normaliser - (soft * logits).sum(axis=1)).sum() + RIDGE / 2 * at @ at)

    found = np.zeros(design.shape[2])
    lowest = loss(found)
    for _ in range(100):
        slope, curvature = (part.sum(axis=0) for part in _slopes(design, soft, found))
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(found)), slope - RIDGE * found)
        while (then := loss(found + step)) > lowest and np.abs(step).max() > 1e-12:
            step /= 2
        found, lowest = found + step, min(then, lowest)
        if np.abs(step).max() < 1e-10:
            break
    return found


def _slopes(
    design: NDArray[np.float64], soft: NDArray[np.float64], at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row's gradient of the log-likelihood, [rows, coefficients], and less its second derivative."""
    p = _softmax(design @ at)
    slope = np.einsum("rl,rlc->rc", soft - p, design)
    mean = np.einsum("rl,rlc->rc", p, design)
    curvature = np.einsum("rl,rlc,rld->rcd", p, design, design, optimize=True) - mean[:, :, None] * mean[:, None, :]
    return slope, curvature


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    p: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return p
