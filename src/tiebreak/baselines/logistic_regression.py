"""Multinomial logistic regression, fitted by scikit-learn and stored as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.baselines.labels import hard_labels, outcome_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class LogisticRegressionModel:
    """Logits that are linear in the features, one class for each outcome seen in training."""

    weights: NDArray[np.float64]
    """[features, classes], or [features, 1] for two classes: the log-odds of the second."""
    bias: NDArray[np.float64]
    """[classes], or [1] for two classes."""
    classes: NDArray[np.int64]
    """The index in `OUTCOMES` of each class."""

    @classmethod
    def fit(cls, rows: Any, votes: NDArray[np.float64], c: float) -> LogisticRegressionModel:
        """Fit to dense or sparse rows [n, features] and votes [n, 3], times their weights; `c` is scikit-learn's C."""
        from sklearn.linear_model import LogisticRegression

        sample, labels, weights = hard_labels(votes)
        model = LogisticRegression(C=c, max_iter=1000).fit(rows[sample], labels, sample_weight=weights)
        return cls(
            np.ascontiguousarray(model.coef_.T, dtype=np.float64), model.intercept_.astype(np.float64), model.classes_
        )

    def probabilities(self, rows: Any) -> NDArray[np.float64]:
        """Probabilities [n, 3] for rows [n, features]."""
        return outcome_probabilities(rows @ self.weights + self.bias, self.classes)

    def state(self) -> dict[str, NDArray[Any]]:
        """The arrays for `from_state`."""
        return {"weights": self.weights, "bias": self.bias, "classes": self.classes}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> LogisticRegressionModel:
        """The model that `state` describes."""
        return cls(arrays["weights"], arrays["bias"], arrays["classes"])
