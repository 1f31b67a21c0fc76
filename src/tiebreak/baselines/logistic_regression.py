"""Multinomial logistic regression, fitted by scikit-learn and kept as two arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.baselines.outcomes import hard_labels, outcome_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Logits that are linear in the features, one class for each outcome that was seen."""

    weights: NDArray[np.float64]
    """[features, classes], or of two classes [features, 1]: how much likelier the second is."""
    bias: NDArray[np.float64]
    """[classes], or [1]"""
    classes: NDArray[np.int64]
    """Which of `OUTCOMES` each class is."""

    @classmethod
    def fit(cls, rows: Any, votes: NDArray[np.float64], c: float) -> Linear:
        """Fit to dense or sparse rows [n, features] with votes [n, 3]; `c` is scikit-learn's C."""
        from sklearn.linear_model import LogisticRegression

        at, classes, weights = hard_labels(votes)
        model = LogisticRegression(C=c, max_iter=1000).fit(rows[at], classes, sample_weight=weights)
        return cls(
            np.ascontiguousarray(model.coef_.T, dtype=np.float64), model.intercept_.astype(np.float64), model.classes_
        )

    def probabilities(self, rows: Any) -> NDArray[np.float64]:
        """[n, 3]."""
        return outcome_probabilities(rows @ self.weights + self.bias, self.classes)

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays that `from_state` makes it from again."""
        return {"weights": self.weights, "bias": self.bias, "classes": self.classes}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Linear:
        """What `state` gave."""
        return cls(arrays["weights"], arrays["bias"], arrays["classes"])
