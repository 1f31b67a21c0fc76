"""Gradient-boosted trees of runs made by Tiebreak 0.1, which trained them with scikit-learn.

Tiebreak 0.1 stored the nodes of a HistGradientBoostingClassifier as arrays. This file only predicts from these arrays;
new runs use `tiebreak.baselines.boosted_trees`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tiebreak.baselines.labels import outcome_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH_ROWS: Final = 128
"""Rows evaluated together, which bounds memory."""


@dataclass(frozen=True, slots=True, eq=False)
class SklearnTrees:
    """Trees as arrays. The nodes of all trees share one numbering; both branches of a leaf lead to the leaf."""

    feature: NDArray[np.int32]
    """[nodes], the feature that a node compares."""
    threshold: NDArray[np.float64]
    """[nodes]; values up to the threshold go left."""
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    """[nodes], what a leaf adds to the logit of its class."""
    roots: NDArray[np.int32]
    """[iterations, logits], the root of each tree."""
    bias: NDArray[np.float64]
    """[logits], the initial logits: one per class, or a single one for two classes."""
    classes: NDArray[np.int64]
    """The index in `OUTCOMES` of each class."""

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities [n, 3] for rows [n, features]."""
        logits = [self._logits(rows[first : first + BATCH_ROWS]) for first in range(0, len(rows), BATCH_ROWS)]
        return outcome_probabilities(np.concatenate([np.zeros((0, len(self.bias))), *logits]), self.classes)

    def _logits(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        nodes = np.broadcast_to(self.roots.ravel(), (len(rows), self.roots.size))
        row_numbers = np.arange(len(rows))[:, None]
        while True:
            goes_left = rows[row_numbers, self.feature[nodes]] <= self.threshold[nodes]
            next_nodes = np.where(goes_left, self.left[nodes], self.right[nodes])
            if np.array_equal(next_nodes, nodes):
                break
            nodes = next_nodes
        logits: NDArray[np.float64] = self.value[nodes].reshape(len(rows), *self.roots.shape).sum(axis=1) + self.bias
        return logits

    def state(self) -> dict[str, NDArray[Any]]:
        """The arrays for `from_state`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> SklearnTrees:
        """The trees that `state` describes."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})
