"""Baselines of today's recipes, out of fold: what a stack on top of them may learn from.

Each kind learns four fifths of the training votes five times and judges the fifth it has not seen; then it learns all
of them and judges the development files. Written are ids and probabilities; what is there already is not made again.

    python experiments/human_votes/classical.py --votes human3way_train.parquet
        --dev human3way_dev.parquet lmsys_sample_dev.parquet --results experiments/human_votes/results
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from experiments.human_votes.folds import FOLDS, fold, write

from tiebreak import Comparison, load_recipe
from tiebreak.baselines import fit_baseline
from tiebreak.data import load_comparisons


def judged(
    kind: str, overrides: Sequence[str], votes: Sequence[Comparison], *asked: Sequence[Comparison]
) -> list[np.ndarray]:
    """Probabilities [rows, 3] of each of the asked, by the recipe's judge fitted on the votes."""
    baseline = load_recipe(f"baseline-{kind}", overrides).baseline
    assert baseline is not None
    settings = baseline.model_dump()
    judge = fit_baseline(settings.pop("kind"), votes, c=settings.pop("C"), log=lambda _: None, **settings)
    return [judge.probabilities(rows) for rows in asked]


def main() -> None:
    """Every kind in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--dev", type=Path, nargs="+", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=["trees", "tfidf", "length"])
    parser.add_argument("--suffix", default="", help="to the kind, in the names of files")
    parser.add_argument("settings", nargs="*", help="recipe overrides")
    given = parser.parse_args()
    votes = list(load_comparisons(given.votes, votes="required", problem_rows="skip"))
    devs = {d.stem: list(load_comparisons(d, votes="required", problem_rows="keep")) for d in given.dev}
    for kind in given.kinds:
        began, member = time.monotonic(), kind + given.suffix
        if not (given.results / f"{member}-out-of-fold.parquet").exists():
            out_of_fold_blend = np.zeros((len(votes), 3))
            for number in range(FOLDS):
                outside = [i for i, c in enumerate(votes) if fold(c) == number]
                inside = [c for c in votes if fold(c) != number]
                (out_of_fold_blend[outside],) = judged(kind, given.settings, inside, [votes[i] for i in outside])
                print(member, "fold", number, round(time.monotonic() - began), "s", flush=True)
            write(given.results / f"{member}-out-of-fold.parquet", votes, out_of_fold_blend)
        missing = [name for name in devs if not (given.results / f"{member}-{name}.parquet").exists()]
        if missing:
            said = judged(kind, given.settings, votes, *(devs[name] for name in missing))
            for name, probabilities in zip(missing, said, strict=True):
                write(given.results / f"{member}-{name}.parquet", devs[name], probabilities)
        print(member, "done", round(time.monotonic() - began), "s", flush=True)


if __name__ == "__main__":
    main()
