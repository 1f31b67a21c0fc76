"""Maps from a judge's probabilities to calibrated ones, and their fit to votes.

Every map is affine in the log-probabilities, l -> softmax(W l + b), and knows no side: exchanging A and B before it is
exchanging them after it. So temperature scaling has one free number, vector scaling three, Dirichlet's map six. No map
can take back a judge's leaning to the first answer, which no vote has: averaging the two orders does.

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

from tiebreak.metrics.log_loss import MIN_PROBABILITY
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Method = Literal["none", "temperature", "vector", "dirichlet"]

PRIOR: Final = 0.3
"""Standard deviation, a priori, of a fit's numbers around those of the identity.

Measured with out-of-fold verdicts of a pairwise judge on 6,755 human votes (human3way_train): a random choice of rows
was calibrated on by the rule of `fit_calibration`, 30 times (of 1,150 rows 20 times). What that took off the log loss
of the remaining votes, the mean and the worst, with this prior and with Kull et al.'s regularisation of 0.001 alone:

    rows    prior of 0.3       regularisation
    120     -.0012 (-.016)     -.0015 (-.027)
    300     +.0002 (-.004)     -.0005 (-.007)
    1,150   +.0025 (+.000)     +.0016 (-.002)
"""

_SCALES: Final = (0.02, 50.0)
"""Bounds of a scale on the probabilities of A and B: a judge is turned neither into a guess nor round."""

_OTHERS: Final = (-50.0, 50.0)

Three = tuple[float, float, float]


class _Map(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @abstractmethod
    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """W, [3, 3], and b, [3]."""

    def apply(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities.

        An outcome that the judge holds impossible stays so. Other probabilities below 1e-15 count as that.

        Args:
            probabilities: [n, 3] over `OUTCOMES`; each row sums to 1.

        Returns:
            float64 [n, 3].
        """
        from scipy.special import softmax

        given = np.asarray(probabilities, dtype=np.float64).reshape(-1, len(OUTCOMES))
        weights, bias = self.affine()
        logits = np.log(np.maximum(given, MIN_PROBABILITY)) @ weights.T + bias
        calibrated: NDArray[np.float64] = softmax(np.where(given > 0, logits, -np.inf), axis=-1)
        return calibrated


class Identity(_Map):
    """Probabilities as they are: no map was better."""

    method: Literal["none"] = "none"

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ones and zeros."""
        return np.eye(3), np.zeros(3)

    def apply(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """What is given, to the last bit."""
        return np.array(probabilities, dtype=np.float64).reshape(-1, len(OUTCOMES))


class Temperature(_Map):
    """Temperature scaling: C. Guo et al. (2017), "On calibration of modern neural networks", section 4.2."""

    method: Literal["temperature"] = "temperature"
    temperature: Annotated[float, Field(gt=0)]
    """Above 1 probabilities become less certain."""

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """I / T, and zeros."""
        return np.eye(3) / self.temperature, np.zeros(3)


class VectorScaling(_Map):
    """Vector scaling: Guo et al. (2017), section 4.2, with one scale for both sides."""

    method: Literal["vector"] = "vector"
    scale: float
    """Of the log-probabilities of A and of B."""
    scale_tie: float
    bias_tie: float
    """Above 0 ties become more likely."""

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A diagonal, and a bias on the tie."""
        return np.diag([self.scale, self.scale, self.scale_tie]), np.array([0.0, 0.0, self.bias_tie])


class Dirichlet(_Map):
    """Dirichlet calibration, with W and b that exchanging A and B leaves as they are.

    M. Kull et al. (2019), "Beyond temperature scaling: obtaining well-calibrated multiclass probabilities with
    Dirichlet calibration". As their off-diagonal and intercept regularisation does, the prior draws what is off the
    diagonal, and b, to 0; it draws the diagonal too, to 1.
    """

    method: Literal["dirichlet"] = "dirichlet"
    weights: tuple[Three, Three, Three]
    bias: Three

    @model_validator(mode="after")
    def _knows_no_side(self) -> Dirichlet:
        weights, bias = self.affine()
        other = [1, 0, 2]
        if not (np.array_equal(weights, weights[other][:, other]) and np.array_equal(bias, bias[other])):
            raise ValueError("a calibration treats A and B alike: exchanging them has to leave weights and bias as is")
        return self

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As they are kept."""
        return np.array(self.weights), np.array(self.bias)


CalibrationMap = Annotated[Identity | Temperature | VectorScaling | Dirichlet, Field(discriminator="method")]


def fit_map(method: Method, probabilities: ArrayLike, votes: ArrayLike) -> CalibrationMap:
    """The map of a kind that is likeliest after these rows, under the prior. There is one, since both are convex.

    Args:
        method: which kind.
        probabilities: [rows, 3] over `OUTCOMES`, or [rows, orders, 3] if each row was judged in several, which count as
            one; each three sum to 1.
        votes: [rows, 3], one-hot or soft, that have no share in what the judge holds impossible.
    """
    if method == "none":
        return Identity()
    from scipy.optimize import minimize

    target = np.asarray(votes, dtype=np.float64)
    given = np.asarray(probabilities, dtype=np.float64).reshape(len(target), -1, len(OUTCOMES))
    start, bounds = _START[method]
    found: Any = minimize(
        objective, start, args=(method, given, target), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9},
    )  # fmt: skip
    return _map_of(method, [float(number) for number in found.x])


def objective(
    parameters: NDArray[np.float64], method: Method, probabilities: NDArray[np.float64], votes: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """The mean log loss in nats with the prior's part, and its gradient by the parameters.

    Args:
        parameters: as in `_START`.
        method: which kind.
        probabilities: [rows, orders, 3].
        votes: [rows, 3].
    """
    from scipy.special import log_softmax

    rows, orders, _ = probabilities.shape
    given, target = probabilities.reshape(-1, 3), np.repeat(votes, orders, axis=0)
    features = _features(method, np.log(np.maximum(given, MIN_PROBABILITY)) + LOG_3)
    logs = log_softmax(np.where(given > 0, features @ parameters, -np.inf), axis=-1)
    loss = -(target * np.where(target > 0, logs, 0.0)).sum() / len(given)
    # Of a log-softmax: what is predicted less what was voted, with the row's whole vote as the mass.
    slope = np.exp(logs) * target.sum(axis=1, keepdims=True) - target
    gradient = np.einsum("nc,nck->k", slope, features) / len(given)
    away = (parameters - _START[method][0]) / PRIOR
    return float(loss + away @ away / (2 * rows)), gradient + away / (PRIOR * rows)


_START: Final[dict[Method, tuple[list[float], list[tuple[float, float]]]]] = {
    "temperature": ([1.0], [_SCALES]),
    "vector": ([1.0, 1.0, 0.0], [_SCALES, _OTHERS, _OTHERS]),
    "dirichlet": ([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [_OTHERS] * 6),
}
"""Where a fit starts, which is the identity, and between what it stays. Parameters: 1 / T; s, s_tie, b_tie; p, q, r, u,
v, b_tie. The last is the bias where the judge's guess is uniform: the prior is of how far an undecided judge is
mended, not of a bias that scales take away again."""

LOG_3: Final = float(np.log(3))


def _features(method: Method, logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n, 3, parameters]: the logits are these times the parameters. `logs` are of probabilities over 1/3."""
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


def _map_of(method: Method, numbers: list[float]) -> CalibrationMap:
    match method:
        case "temperature":
            return Temperature(temperature=1 / numbers[0])
        case "vector":
            scale, scale_tie, undecided = numbers
            return VectorScaling(scale=scale, scale_tie=scale_tie, bias_tie=undecided + LOG_3 * (scale_tie - scale))
        case _:
            p, q, r, u, v, undecided = numbers
            bias_tie = undecided + LOG_3 * (2 * u + v - p - q - r)
            return Dirichlet(weights=((p, q, r), (q, p, r), (u, u, v)), bias=(0.0, 0.0, bias_tie))
