"""Maps from the probabilities of a judge to calibrated probabilities, and how they are fitted to votes.

Every map is affine in the log-probabilities, l -> softmax(W l + b), and symmetric: swapping A and B before the map
equals swapping them after it. Temperature scaling therefore has one parameter, vector scaling three and the Dirichlet
map six. No map can remove position bias; averaging the two orders does.

    identity      W = I                                   b = 0
    temperature   W = I / T                               b = 0
    vector        W = diag(s, s, s_tie)                   b = (0, 0, b_tie)
    dirichlet     W = [[p q r], [q p r], [u u v]]         b = (0, 0, b_tie)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tiebreak.answer_order import swap_outcomes
from tiebreak.metrics.log_loss import MIN_PROBABILITY
from tiebreak.types import OUTCOMES
from tiebreak.weights import total_weight

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Method = Literal["none", "temperature", "vector", "dirichlet"]

PRIOR: Final = 0.3
"""Standard deviation of the Gaussian prior on the parameters, centred on the identity.

Measured with out-of-fold probabilities of a pairwise judge on 6,755 human votes (human3way_train): `fit_calibration`
was applied to a random subset of rows, 30 times (20 times for 1,150 rows). The reduction of log loss on the remaining
votes, mean (worst), with this prior and with only the regularisation of 0.001 of Kull et al. (2019):

    rows    prior of 0.3       regularisation
    120     -.0012 (-.016)     -.0015 (-.027)
    300     +.0002 (-.004)     -.0005 (-.007)
    1,150   +.0025 (+.000)     +.0016 (-.002)
"""

_SCALE_BOUNDS: Final = (0.02, 50.0)
"""Bounds of the scales of A and B. A scale is positive, so that a map never reverses which answer is preferred."""

_PARAMETER_BOUNDS: Final = (-50.0, 50.0)

_Row = tuple[float, float, float]


class _AffineMap(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @abstractmethod
    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """W, [3, 3], and b, [3], in l -> softmax(W l + b)."""

    def apply(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities. A probability of 0 stays 0; other probabilities below 1e-15 are raised to it.

        Args:
            probabilities: [n, 3] over `OUTCOMES`; each row sums to 1.

        Returns:
            float64 [n, 3].
        """
        from scipy.special import softmax

        probabilities = np.asarray(probabilities, dtype=np.float64).reshape(-1, len(OUTCOMES))
        weights, bias = self.affine()
        logits = np.log(np.maximum(probabilities, MIN_PROBABILITY)) @ weights.T + bias
        calibrated: NDArray[np.float64] = softmax(np.where(probabilities > 0, logits, -np.inf), axis=-1)
        return calibrated


class Identity(_AffineMap):
    """No calibration: probabilities stay unchanged."""

    method: Literal["none"] = "none"

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """I and zeros."""
        return np.eye(3), np.zeros(3)

    def apply(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """The same probabilities, exactly."""
        return np.array(probabilities, dtype=np.float64).reshape(-1, len(OUTCOMES))


class Temperature(_AffineMap):
    """Temperature scaling: C. Guo et al. (2017), "On calibration of modern neural networks", section 4.2."""

    method: Literal["temperature"] = "temperature"
    temperature: Annotated[float, Field(gt=0)]
    """Values above 1 make probabilities less confident."""

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """I / T, and zeros."""
        return np.eye(3) / self.temperature, np.zeros(3)


class VectorScaling(_AffineMap):
    """Vector scaling: Guo et al. (2017), section 4.2, with one scale for A and B."""

    method: Literal["vector"] = "vector"
    scale: float
    """Scale of the log-probabilities of A and B."""
    scale_tie: float
    bias_tie: float
    """Values above 0 make ties more likely."""

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A diagonal matrix, and a bias for ties."""
        return np.diag([self.scale, self.scale, self.scale_tie]), np.array([0.0, 0.0, self.bias_tie])


class Dirichlet(_AffineMap):
    """Dirichlet calibration with W and b that are symmetric in A and B.

    M. Kull et al. (2019), "Beyond temperature scaling: obtaining well-calibrated multiclass probabilities with
    Dirichlet calibration". Like their off-diagonal and intercept regularisation, the prior shrinks the off-diagonal of
    W and b towards 0; it also shrinks the diagonal towards 1.
    """

    method: Literal["dirichlet"] = "dirichlet"
    weights: tuple[_Row, _Row, _Row]
    bias: _Row

    @model_validator(mode="after")
    def _check_symmetry(self) -> Dirichlet:
        weights, bias = self.affine()
        swapped_weights = swap_outcomes(swap_outcomes(weights).T).T
        if not (np.array_equal(weights, swapped_weights) and np.array_equal(bias, swap_outcomes(bias))):
            raise ValueError("weights and bias are not symmetric: swapping A and B must leave them unchanged")
        return self

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The stored weights and bias."""
        return np.array(self.weights), np.array(self.bias)


CalibrationMap = Annotated[Identity | Temperature | VectorScaling | Dirichlet, Field(discriminator="method")]


def fit_map(
    method: Method, probabilities: ArrayLike, votes: ArrayLike, weights: NDArray[np.float64] | None = None
) -> CalibrationMap:
    """The maximum a posteriori estimate of a map. It is unique, because loss and prior are convex.

    Args:
        method: the kind of map.
        probabilities: [rows, 3] over `OUTCOMES`, or [rows, orders, 3] if rows were judged in several orders. The
            orders of a row together count as one row.
        votes: [rows, 3], one-hot or soft, 0 where the judge gives an outcome no probability.
        weights: [rows], how many rows each counts as; None if each counts as one.
    """
    if method == "none":
        return Identity()
    from scipy.optimize import minimize

    votes = np.asarray(votes, dtype=np.float64)
    probabilities = np.asarray(probabilities, dtype=np.float64).reshape(len(votes), -1, len(OUTCOMES))
    start, bounds = PARAMETERS[method]
    result: Any = minimize(
        objective, start, args=(method, probabilities, votes, weights), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9},
    )  # fmt: skip
    return _build_map(method, result.x.tolist())


def objective(
    parameters: NDArray[np.float64],
    method: Method,
    probabilities: NDArray[np.float64],
    votes: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> tuple[float, NDArray[np.float64]]:
    """The mean log loss in nats plus the negative log prior per row, and the gradient.

    Args:
        parameters: as in `PARAMETERS`.
        method: the kind of map.
        probabilities: [rows, orders, 3] over `OUTCOMES`.
        votes: [rows, 3].
        weights: as in `fit_map`.
    """
    from scipy.special import log_softmax

    orders, rows = probabilities.shape[1], total_weight(weights, len(votes))
    weighted = votes if weights is None else votes * weights[:, None]
    flat, targets = probabilities.reshape(-1, 3), np.repeat(weighted, orders, axis=0)
    features = _features(method, np.log(np.maximum(flat, MIN_PROBABILITY)) + LOG_3)
    log_p = log_softmax(np.where(flat > 0, features @ parameters, -np.inf), axis=-1)
    loss = -(targets * np.where(targets > 0, log_p, 0.0)).sum() / (rows * orders)
    logit_gradient = np.exp(log_p) * targets.sum(axis=1, keepdims=True) - targets  # a vote may sum to less than 1
    gradient = np.einsum("nc,nck->k", logit_gradient, features) / (rows * orders)
    deviation = (parameters - PARAMETERS[method][0]) / PRIOR
    return float(loss + deviation @ deviation / (2 * rows)), gradient + deviation / (PRIOR * rows)


PARAMETERS: Final[dict[Method, tuple[list[float], list[tuple[float, float]]]]] = {
    "temperature": ([1.0], [_SCALE_BOUNDS]),
    "vector": ([1.0, 1.0, 0.0], [_SCALE_BOUNDS, _PARAMETER_BOUNDS, _PARAMETER_BOUNDS]),
    "dirichlet": ([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [_PARAMETER_BOUNDS] * 6),
}
"""The parameters of the identity, where a fit starts, and their bounds.

Temperature: 1 / T. Vector: s, s_tie, bias. Dirichlet: p, q, r, u, v, bias. The bias is that of log(3 p), so that it is
what the map adds to the logit of a tie when the judge predicts 1/3 each. The prior then does not depend on the scales.
"""

LOG_3: Final = float(np.log(3))


def _features(method: Method, logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features [n, 3, parameters] whose product with the parameters gives the logits; `logs` [n, 3] are log(3 p)."""
    a, b, tie = logs.T
    zero, one = np.zeros_like(a), np.ones_like(a)
    match method:
        case "temperature":
            rows = [[a], [b], [tie]]
        case "vector":
            rows = [[a, zero, zero], [b, zero, zero], [zero, tie, one]]
        case _:
            rows = [
                [a, b, tie, zero, zero, zero],
                [b, a, tie, zero, zero, zero],
                [zero, zero, zero, a + b, tie, one],
            ]
    return np.moveaxis(np.array(rows), -1, 0)


def _build_map(method: Method, parameters: list[float]) -> CalibrationMap:
    match method:
        case "temperature":
            return Temperature(temperature=1 / parameters[0])
        case "vector":
            scale, scale_tie, bias = parameters
            return VectorScaling(scale=scale, scale_tie=scale_tie, bias_tie=bias + LOG_3 * (scale_tie - scale))
        case _:
            p, q, r, u, v, bias = parameters
            bias_tie = bias + LOG_3 * (2 * u + v - p - q - r)
            return Dirichlet(weights=((p, q, r), (q, p, r), (u, u, v)), bias=(0.0, 0.0, bias_tie))
