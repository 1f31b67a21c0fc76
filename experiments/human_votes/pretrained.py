"""Settings for fine-tuning small pretrained models, chosen on a fifth of the training votes.

Each setting is a list of stages; a stage is a set of recipe overrides, and continues from the adapter and head of the
stage before it. Four fifths of the votes are learned (`--first` in a stage with `"data": "first"`), the last fifth is
judged in both orders. Several settings run side by side, since models of this size leave most of a GPU idle.

    python -m experiments.human_votes.pretrained --votes human3way_train.parquet --first hh_rlhf_test_2way.parquet
        --models FOLDER --settings settings.json --work FOLDER --out results.json

`settings.json` is a list of `{"name": ..., "model": FOLDER_IN_MODELS, "stages": [{"learning_rate": 1e-4, ...}]}`; a key
without a dot is one of `training.*`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from experiments.human_votes.folds import fold

from tiebreak.data import load_comparisons, write_comparisons

DEFAULTS: dict[str, Any] = {
    "model.precision": "bf16",
    "lora.r": 64,
    "lora.lora_alpha": 64,
    "lora.target_modules": "all-linear",
    "text.max_length": 2048,
    "training.tokens_per_pass": 32768,
    "training.both_orders": True,
    "training.batch_size": 16,
    "training.num_train_epochs": 2,
    "training.learning_rate": 1e-4,
    "training.lr_scheduler_type": "cosine",
    "training.warmup_steps": 0.03,
    "training.save_steps": 0.5,
    "training.eval_steps": 0.5,
    "training.logging_steps": 50,
    "data.problem_rows": "skip",
}


def prepare(votes: Path, first: Path | None, work: Path) -> dict[str, Path]:
    """Files of the learned and of the judged votes."""
    rows = load_comparisons(votes, votes="required", problem_rows="skip", on_note=print)
    files = {"votes": work / "votes.parquet", "held_out": work / "held_out.parquet"}
    write_comparisons(files["votes"], [row for row in rows if fold(row)])
    write_comparisons(files["held_out"], [row for row in rows if not fold(row)])
    if first is not None:
        files["first"] = first
    return files


def run_setting(setting: dict[str, Any], files: dict[str, Path], models: Path, work: Path) -> dict[str, Any]:
    """Train the stages one after the other, and judge the held-out votes."""
    began = time.monotonic()
    previous: Path | None = None
    for number, stage in enumerate(setting["stages"]):
        data = stage.get("data", "votes")
        folder = work / f"{setting['name']}-{number}"
        overrides = DEFAULTS | {
            key if "." in key else f"training.{key}": value for key, value in stage.items() if key != "data"
        }
        overrides |= {
            "model.name": str(models / setting["model"]),
            "data.train": str(files[data]),
            "output": str(folder),
        }
        if data == "votes":
            overrides["data.validation"] = str(files["held_out"])
        if previous is not None:
            overrides["model.start_from"] = str(previous)
        given = [f"{key}={json.dumps(value) if isinstance(value, list) else value}" for key, value in overrides.items()]
        given = [text.replace("=True", "=true").replace("=False", "=false") for text in given]
        (work / "empty.yaml").write_text("{}\n")
        tiebreak("train", work / "empty.yaml", *given, log=folder.with_suffix(".log"))
        previous = folder
    assert previous is not None
    evaluation = json.loads(tiebreak("evaluate", previous, files["held_out"], "--swap", "average", "--json"))
    return {"setting": setting, "seconds": round(time.monotonic() - began, 1), "evaluation": evaluation}


def tiebreak(*arguments: object, log: Path | None = None) -> str:
    """The output of a command, which is an error if the command fails."""
    done = subprocess.run(
        [sys.executable, "-m", "tiebreak", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if log is not None:
        log.write_text(done.stdout + done.stderr)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]}: {done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    """Run the settings, and write what each came to as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--first", type=Path, help="votes to learn before")
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side-by-side", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=540, help="start no setting after this many seconds")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    files = prepare(options.votes, options.first, options.work)
    began = time.monotonic()
    results: list[dict[str, Any]] = []

    def one(setting: dict[str, Any]) -> None:
        if time.monotonic() - began > options.seconds:
            print(f"{setting['name']}: no time left")
            return
        try:
            result = run_setting(setting, files, options.models, options.work)
        except RuntimeError as error:
            result = {"setting": setting, "error": str(error)}
        results.append(result)
        print(setting["name"], result.get("error") or result["evaluation"]["loss"], flush=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")

    with ThreadPoolExecutor(options.side_by_side) as pool:
        list(pool.map(one, json.loads(options.settings.read_text())))


if __name__ == "__main__":
    main()
