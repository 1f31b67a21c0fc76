"""Baselines and judges from scratch, blended on out-of-fold predictions of the training votes.

Which members, and whether their linear blend or their log-linear pool, is chosen on the training votes by
cross-validation; the development files are judged once, at the end. For votes of another population the chosen blend is
fitted once more with importance weights, which need that file's texts but none of its votes, and adapted on some of
its votes.

    python experiments/human_votes/stack.py --votes human3way_train.parquet
        --dev human3way_dev.parquet lmsys_sample_dev.parquet --results experiments/human_votes/results
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from experiments.human_votes.folds import FOLDS, fold, key, read, write
from scipy.optimize import minimize

from tiebreak import Comparison
from tiebreak.baselines.features import extract_features
from tiebreak.calibration import fit_blend_weights, weighted_mean
from tiebreak.data import load_comparisons
from tiebreak.metrics import cross_entropies, evaluate

SETS = (
    ("trees",),
    ("trees", "trees-2"),
    ("trees", "pairwise"),
    ("trees", "pairwise-2"),
    ("trees", "pairwise", "pairwise-2"),
    ("trees", "pairwise", "pairwise-2", "pointwise"),
    ("trees", "trees-2", "pairwise"),
    ("trees", "trees-2", "pairwise", "pairwise-2"),
    ("trees", "trees-2", "pairwise", "pairwise-2", "pairwise-3", "pointwise"),
    ("trees", "trees-2", "features-with", "pairwise"),
    ("trees", "trees-2", "features-with", "pairwise", "pairwise-2"),
    ("trees", "trees-2", "tfidf", "length", "pairwise", "pairwise-2", "pairwise-3", "pointwise"),
)
"""Members that were tried together."""

Probabilities = np.ndarray


def pooled(parts: Probabilities, x: np.ndarray) -> Probabilities:
    """Log-linear pool: softmax of the weighted sum of log-probabilities, and a shift for ties; [rows, 3]."""
    logits = np.einsum("j,jrk->rk", x[:-1], np.log(np.clip(parts, 1e-9, 1)))
    logits[:, 2] += x[-1]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    whole: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return whole


def fit_pool(parts: Probabilities, votes: Sequence[Any], importance: np.ndarray | None = None) -> np.ndarray:
    """Weights and shift of least log loss: convex, so any optimiser finds them."""

    def loss(x: np.ndarray) -> float:
        return float(np.average(cross_entropies(pooled(parts, x), votes), weights=importance))

    start = np.append(np.full(len(parts), 1 / len(parts)), 0.0)
    found: np.ndarray = minimize(loss, start, method="L-BFGS-B").x
    return found


def adapted(probabilities: Probabilities, comparisons: Sequence[Comparison], rows: int) -> dict[str, float]:
    """Log loss on the rest when a temperature and a shift for ties are fitted on so many labelled rows.

    The mean over 50 draws of these rows, beside that of the same rest as it was.
    """
    votes = [c.vote for c in comparisons if c.vote is not None]
    rng = np.random.default_rng(0)
    before, after = [], []
    for _ in range(50):
        order = rng.permutation(len(votes))
        some, rest = order[:rows], order[rows:]
        x = fit_pool(probabilities[None, some], [votes[i] for i in some])
        on = [votes[i] for i in rest]
        before.append(cross_entropies(probabilities[rest], on).mean())
        after.append(cross_entropies(pooled(probabilities[None, rest], x), on).mean())
    return {"before": round(float(np.mean(before)), 4), "after": round(float(np.mean(after)), 4)}


def importance(votes: list[Comparison], others: list[Comparison]) -> np.ndarray:
    """How much more usual each training row is among others than among the training rows: odds of a classifier, [rows].

    A logistic regression on what both answers look like tells the two files apart, by cross-validation over prompts, so
    that no row is recognised from memory; clipped at 20 times the median.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    rows = [*votes, *others]
    features = extract_features(rows)
    seen = np.hstack([features.shared, features.a + features.b, np.abs(features.a - features.b)])
    told = cross_val_predict(
        make_pipeline(QuantileTransformer(n_quantiles=100), LogisticRegression(C=0.1, max_iter=500)), seen,
        np.array([0] * len(votes) + [1] * len(others)), groups=[key(c) for c in rows], cv=GroupKFold(FOLDS),
        method="predict_proba",
    )[: len(votes)]  # fmt: skip
    odds = told[:, 1] / told[:, 0]
    clipped: np.ndarray = np.minimum(odds, 20 * np.median(odds))
    return clipped


def by_folds(parts: Probabilities, targets: Sequence[Any], number: np.ndarray) -> dict[str, float]:
    """Log loss of the linear blend and of the pool, fitted on the other folds."""
    made = {name: np.zeros((len(targets), 3)) for name in ("linear", "pool")}
    for held_out in range(FOLDS):
        inside, outside = (np.flatnonzero(of).tolist() for of in (number != held_out, number == held_out))
        seen = [targets[i] for i in inside]
        made["linear"][outside] = weighted_mean(parts[:, outside], fit_blend_weights(parts[:, inside], seen))
        made["pool"][outside] = pooled(parts[:, outside], fit_pool(parts[:, inside], seen))
    return {name: round(float(cross_entropies(p, targets).mean()), 4) for name, p in made.items()}


def measured(probabilities: Probabilities, rows: list[Comparison]) -> dict[str, list[float]]:
    """Log loss and accuracy with their intervals over prompts."""
    found = evaluate(probabilities, [c.vote for c in rows if c.vote is not None], [key(c) for c in rows]).metrics
    return {m: [round(x, 4) for x in (found[m].value, found[m].low, found[m].high)] for m in ("loss", "accuracy")}


def main() -> None:
    """Choose by cross-validation on the training votes, then look at the development files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--dev", type=Path, nargs="+", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--last-look", action="store_true", help="judge the development files")
    given = parser.parse_args()
    votes = list(load_comparisons(given.votes, votes="required", problem_rows="skip"))
    devs = {d.stem: list(load_comparisons(d, votes="required", problem_rows="keep")) for d in given.dev}
    members = list(dict.fromkeys(member for together in SETS for member in together))
    parts = {m: read(given.results / f"{m}-out-of-fold.parquet", votes) for m in members}
    targets = [c.vote for c in votes if c.vote is not None]
    number = np.array([fold(c) for c in votes])
    alone = {m: round(float(cross_entropies(p, targets).mean()), 4) for m, p in parts.items()}
    tried = {together: by_folds(np.array([parts[m] for m in together]), targets, number) for together in SETS}
    chosen, way = min(((t, w) for t in SETS for w in tried[t]), key=lambda of: tried[of[0]][of[1]])
    chosen_parts = np.array([parts[m] for m in chosen])
    weights = fit_blend_weights(chosen_parts, targets) if way == "linear" else fit_pool(chosen_parts, targets)
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "out_of_fold_blend": alone,
        "tried": [{"members": together, **losses} for together, losses in tried.items()],
        "chosen": {"members": chosen, "way": way, "weights": [round(float(w), 4) for w in weights]},
    }  # fmt: skip
    print(json.dumps(record, indent=1), flush=True)
    if given.last_look:
        for name, rows in devs.items():
            said = {m: read(given.results / f"{m}-{name}.parquet", rows) for m in members}
            parts_here = np.array([said[m] for m in chosen])
            mixed = weighted_mean(parts_here, weights) if way == "linear" else pooled(parts_here, weights)
            weighing = importance(votes, rows)
            weighted = pooled(parts_here, fit_pool(chosen_parts, targets, weighing))
            write(given.results / f"blend-{name}.parquet", rows, mixed)
            record[name] = {
                **{who: measured(p, rows) for who, p in {**said, "blend": mixed, "importance": weighted}.items()},
                "effective_rows": round(float(weighing.sum() ** 2 / (weighing**2).sum())),
                "adapted": {n: adapted(mixed, rows, n) for n in (50, 100, 200)},
                "importance_adapted": {n: adapted(weighted, rows, n) for n in (50, 100, 200)},
            }
    (given.results / "stack.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({name: record[name] for name in devs if name in record}, indent=1))


if __name__ == "__main__":
    main()
