"""`tiebreak train`."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tiebreak.cli.arguments import OverridesArgument, RecipeArgument
from tiebreak.cli.console import diagnostics, log, print_json, program, quiet_libraries, results
from tiebreak.cli.launch import STOPPED, gpu_count, is_launched_rank, launch
from tiebreak.errors import RecipeError
from tiebreak.formatting import pluralize
from tiebreak.recipe import Recipe, load_recipe, recipe_keys
from tiebreak.runs import RunFolder
from tiebreak.training import train
from tiebreak.training.distributed import is_rank_zero, leave_process_group
from tiebreak.training.vote_sources import check_sources

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
            help="Continue from the last checkpoint of the run in the output folder; without a run, start one.",
        ),
    ] = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="Number of GPUs to train on, one process each. Default: all.")
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option(
            help="After training, fit baselines to the same votes for comparison: boosted trees only up to 10,000 "
            "training votes."
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the folder and its metrics as JSON.")] = False,
    keys: Annotated[
        bool,
        typer.Option("--keys", callback=_show_keys, is_eager=True, help="Show every key of a recipe and exit."),
    ] = False,
) -> None:
    """Fine-tune a model into a judge of answers.

    Everything is kept in the output folder (runs/ and the recipe's name, or output=FOLDER): checkpoints to resume
    from, the history of losses, the trained adapter and head, and the validation rows with their probabilities.

    [bold]Examples[/]

      tiebreak train recipes/gemma2-9b-qlora.yaml data.train=train.csv

      tiebreak train recipes/gemma2-9b-qlora.yaml data.train=train.csv lora.r=32 training.learning_rate=1e-4 --resume

      tiebreak train recipes/gemma2-9b-qlora.yaml data.train=new.csv model.start_from=runs/earlier output=runs/later

      tiebreak train recipes/baseline-trees.yaml data.train=train.csv

      tiebreak train recipes/gemma2-9b-qlora.yaml "data.train=[mine.csv, lmarena-ai/arena-human-preference-55k:train]"
    """
    settings = load_recipe(recipe, overrides or [])
    if settings.data.train is None:
        raise RecipeError(f"{recipe} names no votes to learn from: add data.train=FILE (CSV, JSONL or Parquet).")
    _check_paths(settings, resume=resume)
    processes = _process_count(settings, gpus)
    if processes > 1 and not is_launched_rank():
        sys.exit(launch(processes))
    result = run_training(settings, resume=resume)
    if is_launched_rank():
        leave_process_group()
    if not is_rank_zero():
        return
    if baselines and settings.baseline is None:
        _fit_baselines(result.folder)
    _print_result(result, settings, as_json=as_json)


def _print_result(result: TrainingResult, settings: Recipe, *, as_json: bool) -> None:
    """Print the metrics, the verdict, and what to do with the judge unless it is no better than guessing."""
    from tiebreak.workflows.verdict import find_verdict

    verdict = find_verdict(result.folder, log)
    if as_json:
        as_dict = None if verdict is None else verdict.to_dict()
        print_json({"run": str(result.folder), "metrics": result.metrics, "verdict": as_dict})
        return
    outcomes = 2 if settings.model.head == "pointwise" and settings.model.tie_model == "bradley-terry" else 3
    results.print(
        f"\nValidation log loss [bold]{result.metrics['loss']:.4f}[/] (uniform guess {math.log(outcomes):.4f}), "
        f"accuracy [bold]{result.metrics['accuracy']:.3f}[/]."
    )
    if verdict is not None:
        results.print(f"[bold]{escape(verdict.headline)}[/]{' ' + verdict.remedy if verdict.remedy else ''}")
    if verdict is not None and not verdict.usable:
        results.print(f"The run is in {result.folder}. `{program()} report {result.folder}` shows how it was trained.")
        return
    results.print(
        f"The judge is in {result.folder}. Next:\n"
        f"  {program()} judge {result.folder} --prompt PROMPT --a ANSWER --b ANSWER\n"
        f"  {program()} evaluate {result.folder} VOTES\n"
        f"  {program()} predict {result.folder} test.csv -o submission.csv\n"
        f"  {program()} score {result.folder} CANDIDATES -o scores.parquet"
    )


def _check_paths(settings: Recipe, *, resume: bool) -> None:
    """Check the files and folders that the recipe names, before torch takes seconds to load."""
    if resume and settings.output is not None and RunFolder(settings.output).is_finished:
        return  # nothing will be read
    check_sources(settings.data)
    if settings.model.start_from is not None:
        start = RunFolder(settings.model.start_from)
        start.check_trained()
        start.check_has_language_model(f"model.start_from={start}")
    if settings.output is not None and not resume and is_rank_zero():  # rank zero may have started the run already
        with RunFolder(settings.output).lock(resume=False):
            pass


def _process_count(settings: Recipe, gpus: int | None) -> int:
    """The number of processes to train with."""
    if settings.baseline is not None:
        if gpus is not None and gpus > 1:
            raise RecipeError(f"--gpus {gpus}: a baseline is fitted by one process, without a GPU.")
        return 1
    available = gpu_count()
    if gpus is not None and available and gpus > available:
        raise RecipeError(f"--gpus {gpus}: this machine has {pluralize(available, 'GPU')}.")
    return gpus or max(1, available)


def run_training(settings: Recipe, *, resume: bool) -> TrainingResult:
    """Train with a table of losses and a progress bar in the terminal; fit a baseline without them."""
    if settings.baseline is not None:
        with diagnostics.status("Fitting ...") if diagnostics.is_terminal else nullcontext():
            return train(settings, resume=resume, log=log)
    with diagnostics.status("Loading libraries ...") if diagnostics.is_terminal else nullcontext():
        quiet_libraries()
        from tiebreak.cli.training_display import TrainingDisplay
    if not is_rank_zero():
        return train(settings, resume=resume, log=lambda _: None)
    display = TrainingDisplay()
    previous = signal.getsignal(signal.SIGTERM)
    if not is_launched_rank():  # `launch` handles it for its processes
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return train(settings, resume=resume, callbacks=[display], log=log, on_tokenised=display.on_tokenised)
    except (KeyboardInterrupt, _Terminated):
        log(STOPPED)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
        display.close()


def _fit_baselines(folder: RunFolder) -> None:
    """Fit baselines to the run's votes. An error is logged: the run is finished already."""
    for name in ("RANK", "WORLD_SIZE"):  # the other ranks have ended, and a baseline is fitted by one process
        os.environ.pop(name, None)
    try:
        from tiebreak.workflows.baselines import fit_baselines_beside

        fit_baselines_beside(folder.path, trees=None, log=log)
    except Exception as error:
        log(f"Baselines were not fitted: {error}")


class _Terminated(SystemExit):
    """Raised on SIGTERM, which schedulers send."""


def _terminate(*_: object) -> None:
    raise _Terminated(128 + signal.SIGTERM)
