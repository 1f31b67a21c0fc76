"""`tiebreak demo`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from tiebreak.cli.console import log, program, results
from tiebreak.extras import require_extra
from tiebreak.recipe import load_recipe


def command(
    output: Annotated[
        Path | None,
        typer.Option(
            help="The run folder; a number is added if it exists. Default: runs/demo, or runs/demo-pointwise."
        ),
    ] = None,
    head: Annotated[
        Literal["pairwise", "pointwise"],
        typer.Option(help="A judge that reads both answers, or a reward model that reads one."),
    ] = "pairwise",
) -> None:
    """Train and use a small judge on a CPU, in less than two minutes.

    Creates arithmetic comparisons, fine-tunes the built-in nano Gemma 2 on them with QLoRA (4-bit NF4 base, LoRA
    adapter, packed sequences), then judges three examples. All steps are those of a run on real votes.

    [bold]Examples[/]

      tiebreak demo

      tiebreak demo --head pointwise
    """
    # The nano model's matrices are too small to share between cores. Set before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    require_extra("train", "the demo")
    from tiebreak.cli.judge import print_verdict
    from tiebreak.cli.judging_options import load_judge_with_progress
    from tiebreak.cli.train import run_training
    from tiebreak.data import SEED_EXAMPLES, arithmetic_comparisons, write_comparisons

    started = time.monotonic()
    folder = _unused_folder(output or Path("runs/demo" if head == "pairwise" else "runs/demo-pointwise"))
    data = folder.with_name(f"{folder.name}-data")
    train, validation = data / "train.csv", data / "validation.csv"
    write_comparisons(train, arithmetic_comparisons(TRAIN_ROWS, seed=0, split="train"))
    write_comparisons(validation, arithmetic_comparisons(VALIDATION_ROWS, seed=0, split="validation"))
    log(f"Wrote {TRAIN_ROWS:,} comparisons for training and {VALIDATION_ROWS:,} of other sums for validation: {data}/")

    overrides = [f"data.train={train}", f"data.validation={validation}", f"output={folder}", f"model.head={head}"]
    result = run_training(load_recipe("demo", overrides), resume=False)

    results.print(
        f"\nOn sums outside the training data: log loss [bold]{result.metrics['loss']:.4f}[/] (uniform guess 1.0986), "
        f"accuracy [bold]{result.metrics['accuracy']:.3f}[/].\nThree examples:"
    )
    judge = load_judge_with_progress(folder)
    for example in SEED_EXAMPLES:
        results.print(f"\nPrompt: {example.prompt[0]}   a: {example.answer_a[0]}   b: {example.answer_b[0]}")
        scores = judge.score_many(example.conversations) if judge.gives_rewards else []
        print_verdict(judge.compare(example.prompt, example.answer_a, example.answer_b), scores)
    results.print(
        f"\nDone in {time.monotonic() - started:.0f} seconds. The run is in {folder}. Next:\n"
        f'  {program()} judge {folder} --prompt "7 + 5 = ?" --a 12 --b "The answer is 13."\n'
        f"  {program()} check {validation}\n"
        f"  {program()} evaluate {folder} {validation}\n"
        f"  {program()} train {RECIPES[head]} data.train=YOUR_VOTES.csv\n"
        f"  {program()} serve {folder}"
    )


RECIPES = {"pairwise": "recipes/gemma2-9b-qlora.yaml", "pointwise": "recipes/gemma2-9b-reward.yaml"}
TRAIN_ROWS = 3_840
VALIDATION_ROWS = 500


def _unused_folder(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, ... that does not exist."""
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
