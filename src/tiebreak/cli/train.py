"""`tiebreak train`."""

from __future__ import annotations

import json
import math
import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tiebreak.cli.arguments import OverridesArgument, RecipeArgument
from tiebreak.cli.console import diagnostics, log, print_json, program, quiet_libraries, results
from tiebreak.errors import RecipeError
from tiebreak.formatting import pluralize
from tiebreak.recipe import Recipe, load_recipe, recipe_keys
from tiebreak.runs import RunFolder

if TYPE_CHECKING:
    from tiebreak.training import TrainingResult


def _show_keys(wanted: bool) -> None:
    if wanted:
        for key, (default, meaning) in recipe_keys().items():
            results.print(f"[bold]{key}[/] = {escape(json.dumps(default))}")
            results.print(f"    {escape(meaning)}", style="dim", soft_wrap=False)
        raise typer.Exit


def command(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the last checkpoint of the run in the output folder; where there is none, begin one.",
        ),
    ] = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="GPUs to train on, one process each. By default all there are.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the folder and its metrics as JSON.")] = False,
    keys: Annotated[
        bool,
        typer.Option("--keys", callback=_show_keys, is_eager=True, help="Show every key of a recipe, and stop."),
    ] = False,
) -> None:
    """Fine-tune a model into a judge of answers.

    Everything is kept in the output folder (runs/ and the recipe's name, or output=FOLDER): checkpoints to resume
    from, the history of losses, the trained adapter and head, and the validation rows' probabilities.

    [bold]Examples[/]

      tiebreak train recipes/gemma2-9b-qlora.yaml data.train=train.csv

      tiebreak train recipes/gemma2-9b-qlora.yaml data.train=train.csv lora.r=32 training.learning_rate=1e-4 --resume

      tiebreak train recipes/gemma2-9b-qlora.yaml data.train=new.csv model.start_from=runs/earlier output=runs/later

      tiebreak train recipes/baseline-trees.yaml data.train=train.csv
    """
    settings = load_recipe(recipe, overrides or [])
    if settings.data.train is None:
        raise RecipeError(f"{recipe} names no votes to learn from: add data.train=FILE (CSV, JSONL or Parquet).")
    _look_at_what_it_names(settings, resume=resume)

    from tiebreak.cli.launch import gpu_count, is_launched_rank, is_rank_zero, launch

    there = gpu_count() if settings.baseline is None else 0
    if gpus is not None and there and gpus > there:
        raise RecipeError(f"--gpus {gpus}: this machine has {pluralize(there, 'GPU')}.")
    processes = gpus or max(1, there)
    if settings.baseline is not None and processes > 1:
        raise RecipeError(f"--gpus {gpus}: a classical judge (baseline) is fitted by one process, without a GPU.")
    if processes > 1 and not is_launched_rank():
        sys.exit(launch(processes))
    result = run_training(settings, resume=resume)
    if is_launched_rank() and not is_rank_zero():
        return
    if as_json:
        print_json({"run": str(result.folder), "metrics": result.metrics})
        return
    outcomes = 2 if settings.model.head == "pointwise" and settings.model.tie_model == "bradley-terry" else 3
    results.print(
        f"\nValidation log loss [bold]{result.metrics['loss']:.4f}[/] (uniform guess {math.log(outcomes):.4f}), "
        f"accuracy [bold]{result.metrics['accuracy']:.3f}[/].\nThe judge is in {result.folder}. Next:\n"
        f"  {program()} judge {result.folder} --prompt PROMPT --a ANSWER --b ANSWER\n"
        f"  {program()} evaluate {result.folder} VOTES\n"
        f"  {program()} predict {result.folder} test.csv -o submission.csv\n"
        f"  {program()} score {result.folder} CANDIDATES -o scores.parquet"
    )


def _look_at_what_it_names(settings: Recipe, *, resume: bool) -> None:
    """Refuse what can be refused before torch takes its seconds to load."""
    from tiebreak.cli.launch import is_rank_zero
    from tiebreak.data import check_votes_path

    if resume and settings.output is not None and RunFolder(settings.output).is_finished:
        return  # nothing will be read
    for path in (settings.data.train, settings.data.validation, settings.data.calibration):
        if path is not None:
            check_votes_path(path)
    if settings.model.start_from is not None:
        start = RunFolder(settings.model.start_from)
        start.check_trained()
        start.check_has_language_model(f"model.start_from={start}")
    if settings.output is not None and not resume and is_rank_zero():  # the others may find the run already begun
        with RunFolder(settings.output).lock(resume=False):
            pass


def run_training(settings: Recipe, *, resume: bool) -> TrainingResult:
    """Train with a table of losses and a progress bar in the terminal; a classical judge with neither."""
    if settings.baseline is not None:
        from tiebreak.training import train as fit

        with diagnostics.status("Fitting ...") if diagnostics.is_terminal else nullcontext():
            return fit(settings, resume=resume, log=log)
    with diagnostics.status("Loading libraries ...") if diagnostics.is_terminal else nullcontext():
        quiet_libraries()
        from tiebreak.training import train
    from tiebreak.cli.launch import is_launched_rank, is_rank_zero
    from tiebreak.cli.training_display import TrainingDisplay

    if is_launched_rank() and not is_rank_zero():
        return train(settings, resume=resume, log=lambda _: None)
    display = TrainingDisplay()
    before = signal.getsignal(signal.SIGTERM)
    if not is_launched_rank():  # whose parent says it
        signal.signal(signal.SIGTERM, _end)
    try:
        return train(settings, resume=resume, callbacks=[display], log=log, on_tokenised=display.on_tokenised)
    except (KeyboardInterrupt, _Ended):
        log("Stopped. The same command with --resume goes on from the last checkpoint, if one was kept.")
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        display.close()


class _Ended(SystemExit):
    """By SIGTERM, as schedulers send it."""


def _end(*_: object) -> None:
    raise _Ended(128 + signal.SIGTERM)
