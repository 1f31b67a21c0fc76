"""Judges from scratch on real votes, out of fold: what a stack on top of them may learn from.

Language models of Gemma 2's shape are pretrained on the texts of the training votes and of HH-RLHF's (`--bases`, each
for so many seconds), then learn HH-RLHF's preferences, then, five times, four fifths of the training votes, with ties.
Each of the five judges the fifth it has not seen and the development files, both orders averaged. Written are, for each
member of the stack, the out-of-fold probabilities of all training rows and the five judges' mean on each development
file: nothing of the texts.

Then the product's own commands on real votes: `tiebreak soup` of judges of one fold that differ in their seed, and
`tiebreak blend` of judges of all kinds, with weights found on the fifth that none of them has seen; each is measured
once on the development files.

Everything runs in processes side by side, several to a GPU: models of this size leave most of it idle.

    python experiments/human_votes/neural.py --votes human3way_train.parquet --hh hh_rlhf_test_2way.parquet
        --dev human3way_dev.parquet lmsys_sample_dev.parquet --work FOLDER --out FOLDER
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from experiments.human_votes.folds import FOLDS, fold, key, write
from perf.human_votes import SHAPES, pretrain

from tiebreak import Comparison, load_judge, load_recipe, train
from tiebreak.data import load_comparisons, write_comparisons
from tiebreak.metrics import preference_metrics

CLASSICAL = ("trees", "tfidf", "length")


@dataclass(frozen=True)
class Member:
    """A judge trained five times: a member of the stack."""

    name: str
    head: str
    base: int
    """Which of the pretrained models it begins from."""
    epochs: int
    reset_head: bool = True
    """Whether a new head is drawn for the votes in three ways, or that of HH-RLHF's preferences goes on."""


MEMBERS = (
    Member("pairwise-2", "pairwise", base=0, epochs=2),
    Member("pointwise", "pointwise", base=0, epochs=3),
    Member("pairwise-3", "pairwise", base=1, epochs=2),
    Member("pairwise-4", "pairwise", base=0, epochs=2, reset_head=False),
)
"""In the order of their worth, should the time run out. `pairwise` is from an earlier run (LOG.md)."""

SOUP_SEEDS = (100, 200)
"""Of the pairwise judge of fold 0, beside its own."""


class Record:
    """What was measured, written after each stage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.monotonic()
        self.lock = Lock()
        self.values: dict[str, Any] = {
            "date": datetime.date.today().isoformat(),
            "hardware": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or "CPU",
            "stages": [],
        }

    def keep(self, stage: str, **values: Any) -> None:
        """Add a stage."""
        with self.lock:
            self.values["stages"].append({"stage": stage, "at": round(time.monotonic() - self.began, 1), **values})
            self.path.write_text(json.dumps(self.values, indent=1) + "\n")
        print(round(time.monotonic() - self.began, 1), stage, json.dumps(values), flush=True)


def bind(devices: Any) -> None:
    """A worker takes its GPU."""
    os.environ["CUDA_VISIBLE_DEVICES"] = devices.get()


def fit(base: Path, votes: Path, held_out: Path, output: Path, head: str, *settings: str) -> dict[str, float]:
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
    return dict(train(load_recipe("demo", overrides), log=lambda _: None).metrics)


def judged(run: Path, comparisons: Sequence[Comparison]) -> np.ndarray:
    """Probabilities [rows, 3], both orders averaged."""
    verdicts = load_judge(run).compare_many(comparisons, swap="average")
    return np.array([(v.model_a, v.model_b, v.tie) for v in verdicts])


def fit_fold(
    work: Path, member: Member, number: int, seed: int, held_out: list[Comparison], devs: dict[str, list[Comparison]]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One judge of the votes in three ways, and its predictions for rows that it has not seen."""
    run = work / f"{member.name}-{number}-{seed}"
    fit(
        work / f"base-{member.base}", work / f"fold-{number}.csv", work / f"few-held-out-{number}.csv", run,
        member.head, f"model.start_from={work / f'hh-{member.head}-{member.base}'}",
        f"model.reset_head={str(member.reset_head).lower()}",
        "training.learning_rate=3e-4", f"training.num_train_epochs={member.epochs}", f"training.seed={seed}",
    )  # fmt: skip
    return judged(run, held_out), {name: judged(run, rows) for name, rows in devs.items()}


def score(probabilities: np.ndarray, comparisons: Sequence[Comparison]) -> float:
    """Log loss."""
    return round(preference_metrics(probabilities, [c.vote for c in comparisons if c.vote])["loss"], 4)


def tiebreak(*arguments: object) -> dict[str, Any]:
    """The command line, its JSON."""
    command = [sys.executable, "-m", "tiebreak", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr[-2000:]}
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def fit_classical(work: Path, kind: str) -> None:
    """A baseline of fold 0's training rows, by the command line."""
    shown = tiebreak(
        "train", f"baseline-{kind}", f"data.train={work / 'fold-0.csv'}", f"data.validation={work / 'held-out-0.csv'}",
        f"output={work / kind}",
    )  # fmt: skip
    if "failed" in shown:
        print(kind, shown, flush=True)


def product(work: Path, record: Record, devs: Sequence[Path], singles: list[Path], pointwise: Path | None) -> None:
    """`tiebreak soup` and `tiebreak blend`; none of their members has seen held-out-0, nor the development files."""
    weights_on = work / "held-out-0.csv"
    soup = tiebreak("soup", *singles, "-o", work / "soup", "--on", weights_on)
    if "members" in soup:
        soup["members"] = {Path(run).name: loss for run, loss in soup["members"].items()}
    record.keep("tiebreak soup", **{k: v for k, v in soup.items() if k != "run"})
    classical = [work / kind for kind in CLASSICAL] if pointwise else []
    blends = {"blend-seeds": singles}
    if pointwise:
        blends |= {
            "blend-classical": classical, "blend-all": [*classical, singles[0], pointwise],
            "blend-all-soup": [*classical, work / "soup", pointwise],
        }  # fmt: skip
    with ThreadPoolExecutor(4) as threads:

        def make(name: str) -> None:
            shown = tiebreak("blend", *blends[name], "--on", weights_on, "-o", work / name, "--swap", "average")
            for one in shown.get("members", []):
                one["run"] = Path(one["run"]).name
            record.keep(f"tiebreak {name}", **{k: v for k, v in shown.items() if k != "run"})

        list(threads.map(make, blends))

        def look(run: Path) -> None:
            for dev in devs:
                shown = tiebreak("evaluate", run, dev, "--swap", "average", "--problem-rows", "keep")
                about = shown if "failed" in shown else shown["evaluation"]["metrics"]["loss"]
                record.keep(f"tiebreak evaluate {run.name} {dev.stem}", **about)

        runs = [*classical, *singles, work / "soup", *(work / name for name in blends)]
        list(threads.map(look, [*runs, pointwise] if pointwise else runs))


def main() -> None:  # noqa: PLR0912, PLR0915
    """Every stage in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("votes", "hh", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--dev", type=Path, nargs="+", required=True)
    parser.add_argument("--members", nargs="+", default=[member.name for member in MEMBERS[:3]])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--bases", type=float, nargs="+", default=[75, 50], help="seconds of each one's pretraining")
    parser.add_argument("--workers", type=int, default=3, help="processes a GPU")
    parser.add_argument("--until", type=float, default=480, help="seconds after which no other judge is begun")
    parser.add_argument("--rows", type=int, help="of each file, to try the script")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    record = Record(given.out / "neural.json")
    votes = list(load_comparisons(given.votes, votes="required", problem_rows="skip"))[: given.rows]
    devs = {d.stem: list(load_comparisons(d, votes="required", problem_rows="keep"))[: given.rows] for d in given.dev}
    seen = {key(c) for rows in devs.values() for c in rows}
    hh = [c for c in load_comparisons(given.hh, votes="required", problem_rows="skip") if key(c) not in seen]
    hh = hh[: given.rows]
    few = 100 if given.rows is None else 20
    write_comparisons(work / "texts.csv", [*votes, *hh])
    write_comparisons(work / "hh.csv", hh[few:])
    write_comparisons(work / "few-hh.csv", hh[:few])
    outside = [[i for i, c in enumerate(votes) if fold(c) == number] for number in range(FOLDS)]
    for number in range(FOLDS):
        write_comparisons(work / f"fold-{number}.csv", [c for c in votes if fold(c) != number])
        write_comparisons(work / f"held-out-{number}.csv", [votes[i] for i in outside[number]])
        write_comparisons(work / f"few-held-out-{number}.csv", [votes[i] for i in outside[number]][:few])
    record.keep("files")
    members = [member for member in MEMBERS if member.name in given.members]
    context = get_context("spawn")
    devices = context.Queue()
    gpus = max(1, torch.cuda.device_count())
    for _ in range(given.workers):
        for gpu in range(gpus):
            devices.put(str(gpu) if torch.cuda.is_available() else "")

    with ThreadPoolExecutor(len(CLASSICAL)) as side, ProcessPoolExecutor(
        given.workers * gpus, mp_context=context, initializer=bind, initargs=(devices,)
    ) as pool:  # fmt: skip
        with_pointwise = any(m.head == "pointwise" for m in members)
        ready = [side.submit(fit_classical, work, kind) for kind in CLASSICAL if with_pointwise]
        vocabulary = 16_000 if given.rows is None else 600
        made = {
            number: pool.submit(pretrain, work / f"base-{number}", work / "texts.csv", given.shape, s, vocabulary)
            for number, s in enumerate(given.bases)
        }
        first: dict[tuple[str, int], Future[Any]] = {}
        for number in sorted(made, key=lambda n: given.bases[n]):
            record.keep(f"base-{number}", asked=given.bases[number], **made[number].result())
            for head in dict.fromkeys(m.head for m in members if m.base == number):
                first[head, number] = pool.submit(
                    fit, work / f"base-{number}", work / "hh.csv", work / "few-hh.csv", work / f"hh-{head}-{number}",
                    head, "training.learning_rate=5e-4", "training.num_train_epochs=1",
                )  # fmt: skip
        for (head, number), job in first.items():
            record.keep(f"hh {head} base-{number}", **job.result())

        jobs: dict[Future[Any], tuple[Member, int, int]] = {}

        def begin(member: Member, number: int, seed: int) -> Future[Any]:
            job = pool.submit(fit_fold, work, member, number, seed, [votes[i] for i in outside[number]], devs)
            jobs[job] = member, number, seed
            return job

        pairwise, pointwise = members[0], next((m for m in members if m.head == "pointwise"), None)
        wanted = [begin(pairwise, 0, seed) for seed in (0, *SOUP_SEEDS)]
        if pointwise:
            wanted.append(begin(pointwise, 0, 0))
        for member in members:
            for number in range(FOLDS):
                if (member, number, number) not in jobs.values():
                    begin(member, number, number)
        out_of_fold_blend = {m.name: np.full((len(votes), 3), np.nan) for m in members}
        on_dev: dict[tuple[str, str], list[np.ndarray]] = {(m.name, d): [] for m in members for d in devs}
        later: Future[Any] | None = None
        for job in as_completed(list(jobs)):
            member, number, seed = jobs[job]
            if job.cancelled():
                continue
            held_out, said = job.result()
            record.keep(
                f"{member.name} fold {number} seed {seed}", loss=score(held_out, [votes[i] for i in outside[number]])
            )
            if seed == number:
                out_of_fold_blend[member.name][outside[number]] = held_out
                for name, probabilities in said.items():
                    on_dev[member.name, name].append(probabilities)
                    write(given.out / f"{member.name}-{name}.parquet", devs[name],
                          np.mean(on_dev[member.name, name], axis=0))  # fmt: skip
                write(given.out / f"{member.name}-out-of-fold.parquet", votes, out_of_fold_blend[member.name])
                if not np.isnan(out_of_fold_blend[member.name]).any():
                    record.keep(member.name, out_of_fold_blend=score(out_of_fold_blend[member.name], votes))
            if later is None and all(w.done() for w in wanted) and all(r.done() for r in ready):
                runs = [work / f"{pairwise.name}-0-{seed}" for seed in (0, *SOUP_SEEDS)]
                reward_model = work / f"{pointwise.name}-0-0" if pointwise else None
                later = side.submit(product, work, record, given.dev, runs, reward_model)
            if time.monotonic() - record.began > given.until:
                for waiting in jobs:
                    waiting.cancel()
        if later is not None:
            later.result()
        record.keep("done")


if __name__ == "__main__":
    main()
