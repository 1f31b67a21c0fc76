"""Whether what judges from scratch say is worth more as features of the trees than beside them in a pool.

A forest of today's recipe on the features of `trees` that need no words, and on these with log P(tie) and
log P(a) / P(b) of each member beside: out of fold, and on the development files. As in any stack, a training row has
the predictions of judges that had not learned from it.

    python experiments/human_votes/features.py --votes human3way_train.parquet
        --dev human3way_dev.parquet lmsys_sample_dev.parquet --results experiments/human_votes/results
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from experiments.human_votes.folds import FOLDS, fold, read, write

from tiebreak import Comparison, load_recipe
from tiebreak.answer_order import average_orders
from tiebreak.baselines.boosted_trees import BoostedTrees
from tiebreak.baselines.features import extract_features
from tiebreak.baselines.labels import stack_swapped_votes
from tiebreak.data import load_comparisons
from tiebreak.metrics import cross_entropies

Sides = tuple[np.ndarray, np.ndarray]


def rows_of(comparisons: Sequence[Comparison], said: Sequence[np.ndarray]) -> Sides:
    """Of both orders, [n, features]."""
    features = extract_features(comparisons)
    logs = [np.log(p) for p in said]
    shared = np.hstack([features.shared, *(log[:, 2:] for log in logs)])
    odds = np.hstack([features.a - features.b, *(log[:, :1] - log[:, 1:2] for log in logs)])
    return np.hstack([shared, features.a, features.b, odds]), np.hstack([shared, features.b, features.a, -odds])


def main() -> None:
    """With and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--dev", type=Path, nargs="+", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--members", nargs="+", default=["tfidf", "pairwise", "pairwise-2", "pointwise"])
    given = parser.parse_args()
    votes = list(load_comparisons(given.votes, votes="required", problem_rows="skip"))
    devs = {d.stem: list(load_comparisons(d, votes="required", problem_rows="keep")) for d in given.dev}
    targets = [c.vote for c in votes if c.vote is not None]
    number = np.array([fold(c) for c in votes])
    recipe = load_recipe("baseline-trees").baseline
    assert recipe is not None
    of_trees = ("max_iter", "learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization", "max_features")
    settings = {name: getattr(recipe, name) for name in (*of_trees, "seed")}
    for name, members in (("features-with", given.members), ("features-without", [])):
        sides = rows_of(votes, [read(given.results / f"{m}-out-of-fold.parquet", votes) for m in members])

        def fitted(inside: np.ndarray, sides: Sides = sides) -> BoostedTrees:
            rows = np.concatenate([side[inside] for side in sides])
            labels = stack_swapped_votes(np.array(targets)[inside])
            return BoostedTrees.fit(rows, labels, np.arange(rows.shape[1]), **settings)

        out_of_fold_blend = np.zeros((len(votes), 3))
        for held_out in range(FOLDS):
            trees, outside = fitted(number != held_out), number == held_out
            out_of_fold_blend[outside] = average_orders(*(trees.probabilities(side[outside]) for side in sides))
        print(name, float(cross_entropies(out_of_fold_blend, targets).mean()), flush=True)
        write(given.results / f"{name}-out-of-fold.parquet", votes, out_of_fold_blend)
        trees = fitted(np.ones(len(votes), dtype=bool))
        for dev, rows in devs.items():
            its = rows_of(rows, [read(given.results / f"{m}-{dev}.parquet", rows) for m in members])
            write(given.results / f"{name}-{dev}.parquet", rows, average_orders(*(trees.probabilities(s) for s in its)))


if __name__ == "__main__":
    main()
