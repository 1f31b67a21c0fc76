"""Fit the baselines to one file of votes and evaluate them on others, through the command line.

python perf/baselines.py --train human3way_train.parquet --on human3way_dev.parquet lmsys_sample_dev.parquet \
    --work FOLDER --out results/baselines.json
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KINDS = ("prior", "length", "tfidf", "trees")


def tiebreak(*arguments: object) -> tuple[dict[str, Any], str, float]:
    """Run a command with `--json`; returns its JSON output, its log and its seconds."""
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "tiebreak", *map(str, arguments), "--json"], capture_output=True, text=True, check=False
    )
    if process.returncode:
        sys.exit(process.stderr)
    return json.loads(process.stdout), process.stderr, round(time.perf_counter() - start, 1)


def measure(run: Path, votes: Path) -> dict[str, Any]:
    output, _, seconds = tiebreak("evaluate", run, votes, "--problem-rows", "skip")
    metrics = output["evaluation"]["metrics"]
    return {
        "rows": output["rows"],
        "loss": round(output["loss"], 4),
        "accuracy": round(output["accuracy"], 4),
        "loss_interval": [round(metrics["loss"][end], 4) for end in ("low", "high")],
        "seconds": seconds,
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="votes to fit to")
    parser.add_argument(
        "--on", type=Path, nargs="+", required=True, help="votes to evaluate on; the first file is the validation set"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs, which must not exist yet")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    for kind in KINDS:
        run = args.work / f"baseline-{kind}"
        _, log, seconds = tiebreak(
            "train", f"baseline-{kind}", f"data.train={args.train}", f"data.validation={args.on[0]}",
            "data.problem_rows=skip", f"output={run}",
        )  # fmt: skip
        results[kind] = {
            "train_seconds": seconds,
            "megabytes": round(sum(f.stat().st_size for f in (run / "model").iterdir()) / 1e6, 2),
            "fit_log": [line for line in log.splitlines() if line.startswith("Fitted")],
            "on": {votes.stem: measure(run, votes) for votes in args.on},
        }
        print(kind, json.dumps(results[kind]), flush=True)
    record = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "versions": {name: importlib.metadata.version(name) for name in ("scikit-learn", "lightgbm", "numpy", "scipy")},
        "results": results,
    }
    args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
