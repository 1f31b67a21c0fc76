"""Boosted trees and judges from scratch, blended on out-of-fold predictions of the training votes.

Everything is chosen on the training votes; the development files are judged once, at the end.

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
import pandas as pd
from experiments.human_votes.folds import FOLDS, fold, key
from scipy.optimize import minimize

from tiebreak import Comparison
from tiebreak.data import load_comparisons
from tiebreak.judging import blend, blend_weights, cross_entropies, evaluate
from tiebreak.judging.baselines import fit_baseline

TREES: dict[str, Any] = {
    "c": 0.1, "min_df": 3, "max_words": 20_000, "topics": 24, "stacked": True, "bags": 2, "max_iter": 200,
    "learning_rate": 0.03, "max_leaf_nodes": 31, "min_samples_leaf": 20, "l2_regularization": 1.0, "max_features": 0.1,
    "seed": 42,
}  # fmt: skip
"""As recipes/baseline-trees.yaml had them when this was run; since then it blends two settings (.8498 alone)."""

Probabilities = np.ndarray


def read(path: Path, comparisons: Sequence[Comparison]) -> Probabilities:
    """Predictions of an earlier stage, in the order of the comparisons."""
    frame = pd.read_parquet(path)
    if frame["id"].tolist() != [c.id for c in comparisons]:
        raise SystemExit(f"{path} is of other rows than these")
    return frame[["model_a", "model_b", "tie"]].to_numpy()


def write(path: Path, comparisons: Sequence[Comparison], probabilities: Probabilities) -> None:
    """Ids and probabilities."""
    frame = pd.DataFrame(probabilities, columns=["model_a", "model_b", "tie"])
    frame.insert(0, "id", [c.id for c in comparisons])
    frame.to_parquet(path, index=False)


def trees(votes: list[Comparison], devs: dict[str, list[Comparison]], results: Path) -> None:
    """Boosted trees out of fold, and of all votes on the development files; kept, so that this runs once."""
    if not (results / "trees-out-of-fold.parquet").exists():
        out_of_fold = np.zeros((len(votes), 3))
        for number in range(FOLDS):
            outside = [i for i, c in enumerate(votes) if fold(c) == number]
            judge = fit_baseline("trees", [c for c in votes if fold(c) != number], tell=lambda _: None, **TREES)
            out_of_fold[outside] = judge.probabilities([votes[i] for i in outside])
            print("trees, fold", number, flush=True)
        write(results / "trees-out-of-fold.parquet", votes, out_of_fold)
    if not all((results / f"trees-{name}.parquet").exists() for name in devs):
        judge = fit_baseline("trees", votes, tell=lambda _: None, **TREES)
        for name, rows in devs.items():
            write(results / f"trees-{name}.parquet", rows, judge.probabilities(rows))


def pooled(parts: Probabilities, x: np.ndarray) -> Probabilities:
    """Log-linear pool: softmax of the weighted sum of log-probabilities, and a shift for ties; [rows, 3]."""
    logits = np.einsum("j,jrk->rk", x[:-1], np.log(np.clip(parts, 1e-9, 1)))
    logits[:, 2] += x[-1]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_pool(parts: Probabilities, votes: Sequence[Any]) -> np.ndarray:
    """Weights and shift of least log loss: convex, so any optimiser finds them."""

    def loss(x: np.ndarray) -> float:
        return float(cross_entropies(pooled(parts, x), votes).mean())

    start = np.append(np.full(len(parts), 1 / len(parts)), 0.0)
    return minimize(loss, start, method="L-BFGS-B").x


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
    trees(votes, devs, given.results)
    members = [m for m in ("trees", "pairwise", "pointwise") if (given.results / f"{m}-out-of-fold.parquet").exists()]
    parts = np.array([read(given.results / f"{m}-out-of-fold.parquet", votes) for m in members])
    targets = [c.vote for c in votes if c.vote is not None]
    number = np.array([fold(c) for c in votes])
    losses: dict[str, float] = {
        m: float(cross_entropies(p, targets).mean()) for m, p in zip(members, parts, strict=True)
    }
    by_fold: dict[str, Probabilities] = {"linear": np.zeros((len(votes), 3)), "pool": np.zeros((len(votes), 3))}
    for held_out in range(FOLDS):
        inside, outside = np.flatnonzero(number != held_out), np.flatnonzero(number == held_out)
        seen = [targets[i] for i in inside]
        by_fold["linear"][outside] = blend(parts[:, outside], blend_weights(parts[:, inside], seen))
        by_fold["pool"][outside] = pooled(parts[:, outside], fit_pool(parts[:, inside], seen))
    losses |= {name: float(cross_entropies(p, targets).mean()) for name, p in by_fold.items()}
    chosen = min(by_fold, key=lambda name: losses[name])
    weights = blend_weights(parts, targets) if chosen == "linear" else fit_pool(parts, targets)
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "members": members, "out_of_fold": losses, "chosen": chosen,
        "weights": weights.tolist(),
    }  # fmt: skip
    if given.last_look:
        record["dev"] = {}
        for name, rows in devs.items():
            said = np.array([read(given.results / f"{m}-{name}.parquet", rows) for m in members])
            mixed = blend(said, weights) if chosen == "linear" else pooled(said, weights)
            on = [c.vote for c in rows if c.vote is not None]
            record.setdefault("adapted", {})[name] = {n: adapted(mixed, rows, n) for n in (50, 100, 200)}
            everyone = dict(zip([*members, "blend"], [*said, mixed], strict=True))
            record["dev"][name] = {
                who: {
                    metric: [round(estimate.value, 4), round(estimate.low, 4), round(estimate.high, 4)]
                    for metric, estimate in evaluate(p, on, [key(c) for c in rows]).metrics.items()
                    if metric in ("loss", "accuracy")
                }
                for who, p in everyone.items()
            }
    (given.results / "stack.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
