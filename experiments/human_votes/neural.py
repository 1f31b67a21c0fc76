"""Judges from scratch on real votes, out of fold: what a stack on top of them may learn from.

A language model of Gemma 2's shape is pretrained on the texts of the training votes and of HH-RLHF's, then it learns
HH-RLHF's preferences, then, five times, four fifths of the training votes in three ways. Each of the five judges the
fifth it has not seen and the development files, both orders averaged. Written are, for each head, the out-of-fold
probabilities of all training rows and the five judges' mean on each development file: nothing of the texts.

    python experiments/human_votes/neural.py --votes human3way_train.parquet --hh hh_rlhf_test_2way.parquet
        --dev human3way_dev.parquet lmsys_sample_dev.parquet --work FOLDER --out FOLDER
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from benchmarks.human_votes import SHAPES, pretrain
from experiments.human_votes.folds import FOLDS, fold, key

from tiebreak import Comparison, load_judge, load_recipe, train
from tiebreak.data import load_comparisons, write_comparisons
from tiebreak.judging import preference_metrics


class Record:
    """What was measured, written after each stage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.monotonic()
        self.values: dict[str, Any] = {
            "date": datetime.date.today().isoformat(),
            "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
            "stages": [],
        }

    def keep(self, stage: str, **values: Any) -> None:
        """Add a stage."""
        self.values["stages"].append({"stage": stage, "at": round(time.monotonic() - self.began, 1), **values})
        self.path.write_text(json.dumps(self.values, indent=1) + "\n")
        print(stage, json.dumps(values), flush=True)


def fit(base: Path, votes: Path, held_out: Path, output: Path, head: str, *settings: str) -> Any:
    """Fine-tune one judge through the library."""
    overrides = [
        f"model.name={base}", "model.precision=fp32", f"data.train={votes}", f"data.validation={held_out}",
        f"output={output}", f"model.head={head}", "text.max_length=1536", "training.tokens_per_pass=32768",
        "training.max_steps=-1", "training.warmup_steps=0.05", "training.lr_scheduler_type=cosine",
        "training.logging_steps=40", "training.save_steps=0.5", "training.eval_steps=0.5",
        "training.load_best_model_at_end=false", "training.gradient_checkpointing=false", "training.report_to=[]",
        "lora.r=128", "lora.lora_alpha=128", "training.batch_size=32",
        f"training.both_orders={'true' if head == 'pairwise' else 'false'}", *settings,
    ]  # fmt: skip
    if torch.cuda.is_available():
        overrides.append("model.compute_dtype=bfloat16")
    return train(load_recipe("demo", overrides), tell=lambda _: None)


def judged(run: Path, comparisons: Sequence[Comparison]) -> np.ndarray:
    """Probabilities [rows, 3], both orders averaged."""
    verdicts = load_judge(run).compare_many(comparisons, swap="average")
    return np.array([(v.model_a, v.model_b, v.tie) for v in verdicts])


def score(probabilities: np.ndarray, comparisons: Sequence[Comparison]) -> float:
    """Log loss."""
    return round(preference_metrics(probabilities, [c.vote for c in comparisons if c.vote])["loss"], 4)


def write(path: Path, comparisons: Sequence[Comparison], probabilities: np.ndarray) -> None:
    """Ids and probabilities."""
    frame = pd.DataFrame(probabilities, columns=["model_a", "model_b", "tie"])
    frame.insert(0, "id", [c.id for c in comparisons])
    frame.to_parquet(path, index=False)


def main() -> None:
    """Every stage in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("votes", "hh", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--dev", type=Path, nargs="+", required=True)
    parser.add_argument("--heads", nargs="+", default=["pairwise", "pointwise"])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--pretraining-seconds", type=float, default=75)
    parser.add_argument("--rows", type=int, help="of each file, to try the script")
    parser.add_argument("settings", nargs="*", help="recipe overrides for the votes in three ways")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    record = Record(given.out / f"neural-{given.heads[0]}.json")
    record.values["settings"] = given.settings
    votes = list(load_comparisons(given.votes, votes="required", problem_rows="skip"))[: given.rows]
    devs = {d.stem: list(load_comparisons(d, votes="required", problem_rows="keep"))[: given.rows] for d in given.dev}
    seen = {key(c) for rows in devs.values() for c in rows}
    hh = [c for c in load_comparisons(given.hh, votes="required", problem_rows="skip") if key(c) not in seen]
    hh = hh[: given.rows]
    texts = given.work / "texts.csv"
    given.work.mkdir(parents=True, exist_ok=True)
    write_comparisons(texts, [*votes, *hh])
    base = given.work / "base"
    vocabulary = 16_000 if given.rows is None else 600
    if not (base / "config.json").exists():  # heads may be trained one call at a time
        record.keep("pretraining", **pretrain(base, texts, given.shape, given.pretraining_seconds, vocabulary))

    for head in given.heads:
        first = given.work / f"hh-{head}"
        write_comparisons(given.work / "hh.csv", hh[200:] if given.rows is None else hh)
        write_comparisons(given.work / "hh-held-out.csv", hh[:200])
        result = fit(
            base, given.work / "hh.csv", given.work / "hh-held-out.csv", first, head,
            "training.learning_rate=5e-4", "training.num_train_epochs=1",
        )  # fmt: skip
        record.keep(f"hh {head}", **result.metrics)
        out_of_fold = np.zeros((len(votes), 3))
        on_dev = {name: np.zeros((len(rows), 3)) for name, rows in devs.items()}
        for number in range(FOLDS):
            inside = [c for c in votes if fold(c) != number]
            outside = [i for i, c in enumerate(votes) if fold(c) == number]
            held_out = [votes[i] for i in outside]
            train_file, held_out_file = given.work / f"fold-{number}.csv", given.work / f"held-out-{number}.csv"
            write_comparisons(train_file, inside)
            write_comparisons(held_out_file, held_out)
            run = given.work / f"{head}-{number}"
            fit(
                base, train_file, held_out_file, run, head, f"model.start_from={first}", "model.reset_head=true",
                "training.learning_rate=3e-4", "training.num_train_epochs=2", f"training.seed={number}",
                *given.settings,
            )  # fmt: skip
            out_of_fold[outside] = judged(run, held_out)
            record.keep(f"{head} fold {number}", loss=score(out_of_fold[outside], held_out))
            for name, rows in devs.items():
                on_dev[name] += judged(run, rows)
                write(given.out / f"{head}-{name}.parquet", rows, on_dev[name] / (number + 1))
            write(given.out / f"{head}-out-of-fold.parquet", votes, out_of_fold)
        record.keep(head, out_of_fold=score(out_of_fold, votes))


if __name__ == "__main__":
    main()
