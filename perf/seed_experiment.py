"""The experiment Tiebreak began with, at full size, through the real command line.

Gemma 2 9B's shape (random weights), recipes/seed.yaml as it is: 500 + 50 votes, two epochs in steps of five, validated
every 20 steps. Records wall time, peak memory, tokens a second and the table of losses. With --seed-stack the same
through the stack of the notebook Tiebreak began with: transformers' Trainer, PEFT, bitsandbytes, eager attention,
padded rows, gradient checkpointing.

    python perf/seed_experiment.py --votes human3way_train.parquet --tokenizer FOLDER --base FOLDER
        --out seed.json --seed-stack
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from perf.random_checkpoint import SHAPES, make_checkpoint
from tiebreak.recipe import load_recipe

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


def seed_stack(votes: Path, base: Path, folder: Path) -> dict[str, Any]:
    """As many votes, rows, steps and validations through the stack of the notebook."""
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        BitsAndBytesConfig,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    from tiebreak.data import load_comparisons
    from tiebreak.models import load_tokenizer
    from tiebreak.text import SEED_TEMPLATE, Encoder

    began = time.monotonic()
    settings = load_recipe(REPOSITORY / "recipes/seed.yaml")
    lora, training = settings.lora, settings.training
    tokenizer = load_tokenizer(str(base), None)
    comparisons = list(load_comparisons(votes, votes="required", problem_rows="skip", on_note=lambda _: None))
    chosen = random.Random(0).sample(comparisons, 550)
    encoded = Encoder(tokenizer, SEED_TEMPLATE, settings.text.max_length).encode(chosen)
    rows = [
        {"input_ids": e.ids.tolist(), "labels": int(np.argmax(c.vote or ()))}
        for e, c in zip(encoded, chosen, strict=True)
    ]
    loaded = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=3, attn_implementation="eager", device_map={"": 0}, dtype=torch.bfloat16,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
    )  # fmt: skip
    loaded.config.use_cache = False
    config = LoraConfig(
        task_type="SEQ_CLS", r=lora.r, lora_alpha=lora.lora_alpha, lora_dropout=lora.lora_dropout,
        target_modules=list(lora.target_modules), modules_to_save=["score"],
    )  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(folder / "peer"), per_device_train_batch_size=training.batch_size, per_device_eval_batch_size=8,
        num_train_epochs=training.num_train_epochs, learning_rate=training.learning_rate, bf16=True,
        eval_strategy="steps", eval_steps=20, logging_steps=20, save_strategy="no", report_to=[],
        gradient_checkpointing=True,
        gradient_checkpointing_kwargs={"use_reentrant": False},
    )  # fmt: skip
    trainer = Trainer(
        get_peft_model(loaded, config), arguments, train_dataset=rows[:500], eval_dataset=rows[500:],
        data_collator=DataCollatorWithPadding(tokenizer),
    )  # fmt: skip
    torch.cuda.reset_peak_memory_stats()
    outcome = trainer.train()
    return {
        "wall_seconds": time.monotonic() - began,
        "training_seconds": outcome.metrics["train_runtime"],
        "peak_memory_gib": torch.cuda.max_memory_allocated() / 2**30,
        "steps": trainer.state.global_step,
        "tokens": sum(len(row["input_ids"]) for row in rows[:500]),
    }


def main() -> None:
    """Run the experiment and write its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="9b")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True, help="where the checkpoint is, or is made (19 GB)")
    parser.add_argument("--seed-stack", action="store_true", help="run the notebook's stack as well, in this process")
    parser.add_argument("overrides", nargs="*", help="recipe overrides, as training.gradient_checkpointing=false")
    given = parser.parse_args()
    if not (given.base / "config.json").exists():
        make_checkpoint(given.base, given.shape, given.tokenizer)
    with tempfile.TemporaryDirectory() as scratch:
        record = {"shape": given.shape, **run(given.votes, given.base, given.overrides, Path(scratch))}
        given.out.write_text(json.dumps(record, indent=2) + "\n")
        if given.seed_stack:
            record["seed_stack"] = seed_stack(given.votes, given.base, Path(scratch))
    given.out.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps({k: v for k, v in record.items() if k not in ("table", "environment")}, indent=2))


if __name__ == "__main__":
    main()
