"""The four baselines, by kind.

- `prior`: the shares of the votes.
- `length`: logistic regression on differences of length and format.
- `tfidf`: logistic regression on the words in which the answers differ, and on the prompt's words.
- `trees`: gradient-boosted trees on about 200 features of both answers, topics, and the probabilities of `tfidf`.

Each is fitted to every comparison in both orders and averages the two orders when it predicts. Swapping the answers
therefore swaps the probabilities of A and B exactly.
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
from tiebreak.weights import row_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BASELINES: Final[dict[BaselineKind, type[Baseline]]] = {
    baseline.kind: baseline for baseline in (PriorBaseline, LengthBaseline, TfidfBaseline, GradientBoostingBaseline)
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
    """Fit a baseline to comparisons with votes. The settings are the keys of the recipe section `baseline`.

    A comparison of weight 2 counts as two in the fit; one of weight 0 is left out.

    Raises:
        DataError: a comparison has no vote, there are no comparisons or all have weight 0, all votes are ties
            (except for `prior`), or no word is frequent enough for `tfidf`.
    """
    votes = np.array([comparison.vote for comparison in comparisons if comparison.vote is not None])
    if len(votes) < len(comparisons) or not len(votes):
        raise DataError(
            f"{len(votes):,} of {pluralize(len(comparisons), 'comparison')} have a vote: a baseline is fitted to one "
            "or more comparisons, each with a vote."
        )
    kept = [i for i, comparison in enumerate(comparisons) if comparison.weight]
    if not kept:
        raise DataError(f"All {pluralize(len(votes), 'comparison')} have weight 0: give some a weight above 0.")
    comparisons, votes = [comparisons[i] for i in kept], votes[kept]
    weights = row_weights(comparisons)
    if kind == "prior":
        return PriorBaseline.fit(votes, weights)
    if not votes[:, :2].any():
        raise DataError(
            f"All {pluralize(len(votes), 'training vote')} are ties: the {kind} baseline needs votes for an answer. "
            "Add some, or use baseline.kind=prior."
        )
    if kind == "length":
        return LengthBaseline.fit(comparisons, votes, weights, c=c)
    if kind == "tfidf":
        return TfidfBaseline.fit(comparisons, votes, weights, c=c, min_df=min_df, max_words=max_words)
    return GradientBoostingBaseline.fit(
        comparisons, votes, weights, topics=topics, stacked=stacked, bags=bags, c=c, min_df=min_df, max_words=max_words,
        seed=seed, log=log, max_iter=max_iter, learning_rate=learning_rate, max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_samples_leaf, l2_regularization=l2_regularization, max_features=max_features,
    )  # fmt: skip


def baseline_from_state(kind: BaselineKind, arrays: Mapping[str, NDArray[Any]]) -> Baseline:
    """The baseline that these arrays describe."""
    return _BASELINES[kind].from_state(arrays)
