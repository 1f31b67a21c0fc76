"""The experiment Tiebreak began with, at full size, through the real command line.

Gemma 2 9B's shape (random weights), recipes/seed.yaml as it is: 500 + 50 votes, two epochs in steps of five, validated
every 20 steps. Records wall time, peak memory, tokens a second and the table of losses.

    python benchmarks/seed_experiment.py --votes human3way_train.parquet --tokenizer FOLDER --base FOLDER
        --out seed.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from random_checkpoint import SHAPES, make_checkpoint

REPOSITORY = Path(__file__).parents[1]


def run(votes: Path, base: Path, overrides: list[str], folder: Path) -> dict[str, Any]:
    """Train through the command line, and read the run folder."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tiebreak", "train", str(REPOSITORY / "recipes/seed.yaml"),
               f"model.name={base}", f"data.train={votes}", f"output={folder / 'run'}", *overrides]  # fmt: skip
    subprocess.run(command, check=True)
    seconds = time.monotonic() - began
    history = [json.loads(line) for line in (folder / "run/history.jsonl").read_text().splitlines()]
    training = {line["step"]: line for line in history if "loss" in line}
    validation = {line["step"]: line for line in history if "eval_loss" in line}
    table = [
        {
            "step": step,
            "training_loss": training[step]["loss"],
            "validation_loss": validation.get(step, {}).get("eval_loss"),
            "tokens_per_second": training[step]["tokens_per_second"],
        }
        for step in training
    ]
    return {
        "command": ["tiebreak", "train", "recipes/seed.yaml", *overrides],
        "date": datetime.date.today().isoformat(),
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "environment": json.loads((folder / "run/environment.json").read_text()),
        "wall_seconds": seconds,
        "training_seconds": next(line["train_runtime"] for line in reversed(history) if "train_runtime" in line),
        "validation_seconds": sum(line["eval_runtime"] for line in validation.values()),
        "peak_memory_gib": max((line.get("peak_memory_gib", 0.0) for line in training.values()), default=0.0),
        "median_tokens_per_second": sorted(row["tokens_per_second"] for row in table)[len(table) // 2],
        "table": table,
    }


def main() -> None:
    """Run the experiment and write its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="9b")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True, help="where the checkpoint is, or is made (19 GB)")
    parser.add_argument("overrides", nargs="*", help="recipe overrides, as training.gradient_checkpointing=false")
    given = parser.parse_args()
    if not (given.base / "config.json").exists():
        make_checkpoint(given.base, given.shape, given.tokenizer)
    with tempfile.TemporaryDirectory() as scratch:
        record = {"shape": given.shape, **run(given.votes, given.base, given.overrides, Path(scratch))}
    given.out.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps({k: v for k, v in record.items() if k not in ("table", "environment")}, indent=2))


if __name__ == "__main__":
    main()
