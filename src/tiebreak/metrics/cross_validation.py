"""Rows dealt into the folds of a cross-validation, those of one prompt into the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS: Final = 5


def group_folds(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows], a fold for each: large groups first, each into the fold with the fewest rows; the rest by chance.

    Args:
        groups: [rows], the number of each row's prompt, from 0 on without gaps.
    """
    sizes = np.bincount(groups)
    shuffled = np.random.default_rng(0).permutation(len(sizes))
    fold_of, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(FOLDS)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    folds: NDArray[np.int64] = fold_of[groups]
    return folds
