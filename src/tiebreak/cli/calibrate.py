"""`tiebreak calibrate`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TextColumn

from tiebreak.cli.console import log, print_json, problems, progress_bar, quiet_libraries, results
from tiebreak.cli.judging_options import (
    BaseModelOption,
    ProblemRows,
    RunArgument,
    check_run_and_data,
    read_votes_with_progress,
)
from tiebreak.errors import DataError
from tiebreak.runs import RunFolder

if TYPE_CHECKING:
    from tiebreak.calibration import Calibration


def command(
    run: RunArgument,
    votes: Annotated[
        Path | None,
        typer.Argument(help="Votes that the run did not learn from, 100 or more: CSV, JSONL or Parquet."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the run's calibration out again.")] = False,
    base_model: BaseModelOption = None,
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was kept as JSON.")] = False,
) -> None:
    """Calibrate a run's probabilities on votes that it did not learn from.

    Temperature scaling, vector scaling and Dirichlet calibration are compared by cross-validation. What is kept is the
    simplest of those that are within a standard error of the best: none at all, if none is better by more than that.
    All treat A and B alike. Every verb that judges uses what is kept; evaluate, predict and judge leave it out with
    --no-calibration. A reward model's rewards never go through it. The run's metrics.json stays as training left it.

    Of a blend the mean is calibrated; its members give what they gave when its weights were found, whatever becomes of
    their own calibrations.

    A new run can set votes aside for this itself: data.calibration_share=0.02 in its recipe.

    [bold]Examples[/]

      tiebreak calibrate runs/demo votes.csv

      tiebreak calibrate runs/demo --remove
    """
    if remove != (votes is None):
        raise DataError(
            f"Give {votes} or --remove, not both."
            if remove
            else f"Give votes to calibrate on: tiebreak calibrate {run} VOTES. To take a calibration out: --remove."
        )
    check_run_and_data(run, votes)
    if votes is None:
        _remove(run, as_json=as_json)
        return
    file = read_votes_with_progress(votes, votes="required", problem_rows=problem_rows, setting="--problem-rows ")
    with problems.status("Loading libraries ...") if problems.is_terminal else nullcontext():
        if not RunFolder(run).holds_a_baseline:  # which needs none of them
            quiet_libraries()
        from tiebreak.workflows.calibrate import calibrate_run

    progress = progress_bar(TextColumn("Judging"), "texts")
    with progress:
        task = progress.add_task("", total=None)
        calibration = calibrate_run(
            run, file.comparisons, source=votes.name, base_model=base_model, log=log,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    if as_json:
        print_json({"run": str(run), "method": calibration.method, **calibration.model_dump(mode="json")})
        return
    _print(calibration)


def _remove(run: Path, *, as_json: bool) -> None:
    from tiebreak.workflows.calibrate import remove_calibration

    removed = remove_calibration(run)
    if as_json:
        print_json({"run": str(run), "removed": removed})
        return
    results.print("The calibration is taken out." if removed else "There was no calibration to take out.")


def _print(calibration: Calibration) -> None:
    results.print(f"[bold]{'by cross-validation':24}{'log loss':>10}{'gain':>18}{'calibration error':>20}[/]")
    for candidate in calibration.candidates:
        gain = "" if candidate.method == "none" else f"{candidate.gain:+.4f} ± {candidate.gain_error:.4f}"
        kept = "   kept" if candidate.method == calibration.method else ""
        results.print(f"{candidate.name:24}{candidate.loss:>10.4f}{gain:>18}{candidate.error:>20.3f}{kept}")
    results.print(str(calibration), markup=False)
