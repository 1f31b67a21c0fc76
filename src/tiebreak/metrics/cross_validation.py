"""Groups of rows, such as the rows of one prompt, and cross-validation folds that keep them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS: Final = 5


def number_groups(keys: Sequence[str]) -> NDArray[np.int64]:
    """The group of each row, [rows], numbered from 0 in the order of the keys. (np.unique would pad all keys.)"""
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.fromiter((numbers[key] for key in keys), np.int64, len(keys))


def group_folds(groups: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """The fold of each row, [rows].

    The largest group goes first into the fold with the fewest rows, as in scikit-learn's GroupKFold; groups of equal
    size are shuffled first, so that the folds do not depend on the order of the file.

    Args:
        groups: [rows], the group of each row, numbered from 0 without gaps.
        weights: [rows], how many rows each counts as in the sizes of groups and folds; None if all count the same.
    """
    sizes = np.bincount(groups, weights)
    shuffled = np.random.default_rng(0).permutation(len(sizes))
    fold_of_group, fold_sizes = np.empty(len(sizes), dtype=np.int64), np.zeros(FOLDS)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of_group[group] = fold_sizes.argmin()
        fold_sizes[fold_of_group[group]] += sizes[group]
    folds: NDArray[np.int64] = fold_of_group[groups]
    return folds
