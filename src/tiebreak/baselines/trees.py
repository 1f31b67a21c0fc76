"""Gradient-boosted trees, fitted by scikit-learn and kept as the arrays of their nodes.

scikit-learn saves its trees by pickle alone, which runs code when it is loaded. Their nodes are a few numbers each, so
these are what is kept, and the sum over trees is taken here; fitting checks that it is scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tiebreak.baselines.outcomes import hard_labels, outcome_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE: Final = 128
"""Rows that go down all trees together."""

CHECKED: Final = 64
"""Rows on which the nodes are compared with scikit-learn's own prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class TreeEnsemble:
    """Boosted trees. Nodes of all trees lie in one list; a leaf is a node whose branches are itself."""

    feature: NDArray[np.int32]
    """[nodes], which one a node looks at."""
    threshold: NDArray[np.float64]
    """[nodes]; up to it a row goes left."""
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    """[nodes], what a leaf adds to its class's logit."""
    roots: NDArray[np.int32]
    """[iterations, logits], where each tree begins."""
    bias: NDArray[np.float64]
    """[logits], before any tree; one logit for each class, or of two classes one in all."""
    classes: NDArray[np.int64]
    """Which of `OUTCOMES` each class is."""

    @classmethod
    def fit(
        cls, rows: NDArray[np.float64], votes: NDArray[np.float64], *, max_iter: int, learning_rate: float,
        max_leaf_nodes: int, min_samples_leaf: int, l2_regularization: float, max_features: float, seed: int,
    ) -> TreeEnsemble:  # fmt: skip
        """Fit to rows [n, features], all finite, with votes [n, 3]; the rest as in HistGradientBoostingClassifier."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        at, classes, weights = hard_labels(votes)
        model = HistGradientBoostingClassifier(
            max_iter=max_iter, learning_rate=learning_rate, max_leaf_nodes=max_leaf_nodes, early_stopping=False,
            min_samples_leaf=min_samples_leaf, l2_regularization=l2_regularization, max_features=max_features,
            random_state=seed,
        ).fit(rows[at], classes, sample_weight=weights)  # fmt: skip
        trees = cls.of(model)
        some = rows[:CHECKED]
        if np.abs(trees.probabilities(some)[:, model.classes_] - model.predict_proba(some)).max() > 1e-6:
            raise RuntimeError("scikit-learn keeps its trees in another way than Tiebreak reads them: a bug")
        return trees

    @classmethod
    def of(cls, model: Any) -> TreeEnsemble:
        """The trees of a fitted HistGradientBoostingClassifier, which offers them under private names only."""
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
        roots, first = [], 0
        for predictor in (tree for iteration in model._predictors for tree in iteration):
            nodes = predictor.nodes
            leaf, own = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
            parts["feature"].append(np.where(leaf, 0, nodes["feature_idx"]))
            parts["threshold"].append(np.where(leaf, 0.0, nodes["num_threshold"]))
            parts["left"].append(np.where(leaf, own, nodes["left"]) + first)
            parts["right"].append(np.where(leaf, own, nodes["right"]) + first)
            parts["value"].append(nodes["value"])
            roots.append(first)
            first += len(nodes)
        joined: dict[str, Any] = {
            name: np.concatenate(of).astype(np.float64 if name in ("threshold", "value") else np.int32)
            for name, of in parts.items()
        }
        bias = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()
        return cls(
            **joined,
            roots=np.array(roots, dtype=np.int32).reshape(-1, len(bias)),
            bias=bias,
            classes=np.asarray(model.classes_, dtype=np.int64),
        )

    def of_columns(self, columns: NDArray[np.int64]) -> TreeEnsemble:
        """The same trees for rows of which these were fitted on the given columns only."""
        return replace(self, feature=columns[self.feature].astype(np.int32))

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n, 3]."""
        logits = [self._logits(rows[first : first + AT_ONCE]) for first in range(0, len(rows), AT_ONCE)]
        return outcome_probabilities(np.concatenate([np.zeros((0, len(self.bias))), *logits]), self.classes)

    def _logits(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        nodes = np.broadcast_to(self.roots.ravel(), (len(rows), self.roots.size))
        which = np.arange(len(rows))[:, None]
        while True:
            goes_left = rows[which, self.feature[nodes]] <= self.threshold[nodes]
            further = np.where(goes_left, self.left[nodes], self.right[nodes])
            if np.array_equal(further, nodes):
                break
            nodes = further
        logits: NDArray[np.float64] = self.value[nodes].reshape(len(rows), *self.roots.shape).sum(axis=1) + self.bias
        return logits

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays that `from_state` makes it from again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> TreeEnsemble:
        """What `state` gave."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def mean_probabilities(bags: Sequence[TreeEnsemble], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean [n, 3] over models that differ in their seeds."""
    mean: NDArray[np.float64] = np.mean([trees.probabilities(rows) for trees in bags], axis=0)
    return mean
