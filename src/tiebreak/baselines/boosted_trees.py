"""Gradient-boosted trees over the three outcomes, trained by LightGBM and stored in its text format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tiebreak.baselines.labels import hard_labels
from tiebreak.errors import ModelError
from tiebreak.types import OUTCOMES

if TYPE_CHECKING:
    from lightgbm import Booster
    from numpy.typing import NDArray

HESSIAN_FACTOR: Final = len(OUTCOMES) / (len(OUTCOMES) - 1)
"""LightGBM multiplies the Hessian p (1 - p) of the multiclass loss by K / (K - 1) for K classes (J. Friedman (2001),
"Greedy function approximation: a gradient boosting machine", section 4.5). The learning rate and the L2 penalty are
scaled by the same factor, so that they mean what they mean in scikit-learn, whose names the recipe uses."""


_MAX_THREADS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class BoostedTrees:
    """Trees fitted on some columns of the feature matrix."""

    booster: Booster
    columns: NDArray[np.int64]
    """The columns that the trees were fitted on."""

    @classmethod
    def fit(
        cls, rows: NDArray[np.float64], votes: NDArray[np.float64], columns: NDArray[np.int64], *, max_iter: int,
        learning_rate: float, max_leaf_nodes: int, min_samples_leaf: int, l2_regularization: float,
        max_features: float, seed: int,
    ) -> BoostedTrees:  # fmt: skip
        """Fit to rows [n, features], all finite, and votes [n, 3]. Equal arguments give equal trees.

        Args:
            rows: [n, features].
            votes: [n, 3], one-hot or soft, times the weight of their row. `min_samples_leaf` counts rows, not weights.
            columns: the columns of `rows` to use.
            max_iter: boosting rounds; each grows one tree per outcome.
            learning_rate: the factor on what each tree adds.
            max_leaf_nodes: the most leaves of a tree.
            min_samples_leaf: the fewest rows of a leaf.
            l2_regularization: the L2 penalty on what a leaf adds.
            max_features: the share of the columns that each split chooses from.
            seed: decides these columns.
        """
        lightgbm = _import_lightgbm()
        sample, labels, weights = hard_labels(votes)
        # Without ties the trees of A and B both move the one log-odds, where two-class boosting grows one tree.
        rate = learning_rate if votes[:, 2].any() else learning_rate / 2
        settings = {
            "objective": "multiclass",
            "num_class": len(OUTCOMES),
            "learning_rate": rate * HESSIAN_FACTOR,
            "num_leaves": max_leaf_nodes,
            "min_data_in_leaf": min_samples_leaf,
            "lambda_l2": l2_regularization * HESSIAN_FACTOR,
            "feature_fraction_bynode": max_features,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,  # otherwise a timing decides the layout, which can change the rounding
            "verbosity": -1,
            # Some thousand rows gain nothing from more threads, and runs that end at the same time wait for each other.
            "num_threads": 0 if "OMP_NUM_THREADS" in os.environ else min(os.cpu_count() or 1, _MAX_THREADS),
        }
        dataset = lightgbm.Dataset(rows[sample][:, columns], labels, weight=weights)
        return cls(lightgbm.train(settings, dataset, num_boost_round=max_iter), columns)

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities [n, 3] for rows [n, features]."""
        if not len(rows):
            return np.zeros((0, len(OUTCOMES)))
        return np.asarray(self.booster.predict(rows[:, self.columns]), dtype=np.float64)

    def state(self) -> dict[str, NDArray[Any]]:
        """The model in LightGBM's text format, as UTF-8 bytes, and the columns."""
        text = self.booster.model_to_string().encode("utf-8")
        return {"lightgbm": np.frombuffer(text, dtype=np.uint8), "columns": self.columns}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> BoostedTrees:
        """The trees that `state` describes."""
        text = arrays["lightgbm"].tobytes().decode("utf-8")
        return cls(_import_lightgbm().Booster(model_str=text), arrays["columns"])


def _import_lightgbm() -> Any:
    try:
        import lightgbm
    except OSError as error:
        raise ModelError(
            f"LightGBM cannot be loaded: {error}. It needs the OpenMP library of the system: install libgomp1 "
            "(Debian, Ubuntu), libgomp (Fedora) or libomp (macOS)."
        ) from error
    return lightgbm
