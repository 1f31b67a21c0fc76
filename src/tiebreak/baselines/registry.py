"""The ladder from statistics to deep learning, but for its last rung: four classical judges.

`prior` knows the votes' shares only. `length` is a logistic regression on how the answers' length and format differ.
`tfidf` is one on the words in which they differ, and on the prompt's. `trees` are gradient-boosted trees on about 200
features of both answers, among them topics, and what `tfidf` says (of training rows by cross-validation).

All of them see every comparison in both orders when they are fitted, and give the mean over both when they judge.
Swapping a comparison therefore swaps its probabilities to the last bit, and `a` and `b` of the prior are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tiebreak.baselines.base import Baseline, BaselineKind
from tiebreak.baselines.gradient_boosting import GradientBoostingBaseline
from tiebreak.baselines.length import LengthBaseline
from tiebreak.baselines.prior import PriorBaseline
from tiebreak.baselines.tfidf import TfidfBaseline
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JUDGES: Final[dict[BaselineKind, type[Baseline]]] = {
    judge.kind: judge for judge in (PriorBaseline, LengthBaseline, TfidfBaseline, GradientBoostingBaseline)
}


def fit_baseline(
    kind: BaselineKind,
    comparisons: Sequence[Comparison],
    *,
    c: float,
    min_df: int,
    max_words: int,
    topics: int,
    stacked: bool,
    bags: int,
    max_iter: int,
    learning_rate: float,
    max_leaf_nodes: int,
    min_samples_leaf: int,
    l2_regularization: float,
    max_features: float,
    seed: int,
    log: Callable[[str], None],
) -> Baseline:
    """Fit a classical judge to comparisons with votes; the settings are those of the recipe's section `baseline`.

    Raises:
        DataError: there are no votes, all of them are ties and the judge is to tell answers apart, or no word is
            frequent enough.
    """
    votes = np.array([comparison.vote for comparison in comparisons if comparison.vote is not None])
    if len(votes) < len(comparisons) or not len(votes):
        raise DataError("A classical judge learns from votes: each of one or more comparisons needs one.")
    if kind == "prior":
        return PriorBaseline.fit(votes)
    if not votes[:, :2].any():
        raise DataError(
            f"All of {pluralize(len(votes), 'vote')} to learn from are ties: nothing tells answers apart. Give others, "
            "or take baseline.kind=prior."
        )
    if kind == "length":
        return LengthBaseline.fit(comparisons, votes, c=c)
    if kind == "tfidf":
        return TfidfBaseline.fit(comparisons, votes, c=c, min_df=min_df, max_words=max_words)
    return GradientBoostingBaseline.fit(
        comparisons, votes, topics=topics, stacked=stacked, bags=bags, c=c, min_df=min_df, max_words=max_words,
        seed=seed, log=log, max_iter=max_iter, learning_rate=learning_rate, max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_samples_leaf, l2_regularization=l2_regularization, max_features=max_features,
    )  # fmt: skip


def baseline_from_state(kind: BaselineKind, arrays: Mapping[str, NDArray[Any]]) -> Baseline:
    """A classical judge of the arrays that its `state` gave."""
    return _JUDGES[kind].from_state(arrays)
