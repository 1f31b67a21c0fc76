"""`tiebreak calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiebreak.cli.console import log, print_json, results
from tiebreak.cli.judging_options import (
    BaseModelOption,
    ProblemRows,
    RunArgument,
    check_run_and_data,
    load_libraries,
    read_votes_with_progress,
    workflow_progress,
)
from tiebreak.errors import DataError

if TYPE_CHECKING:
    from tiebreak.calibration import Calibration


def command(
    run: RunArgument,
    votes: Annotated[
        Path | None,
        typer.Argument(help="100 or more votes that the run was not trained on: CSV, JSONL or Parquet."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new run folder, which refers to RUN. For a published judge only."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the run's calibration.")] = False,
    base_model: BaseModelOption = None,
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print the calibration as JSON.")] = False,
) -> None:
    """Calibrate a run's probabilities on votes that it was not trained on.

    Temperature scaling, vector scaling and Dirichlet calibration are compared by cross-validation. The simplest one
    within a standard error of the best is kept; none, if none improves the log loss by more than that. All of them
    treat A and B equally. Every command that judges applies it; evaluate, predict and judge skip it with
    --no-calibration. Rewards are not calibrated. The run's metrics.json does not change.

    RUN may be a published judge: the folder or hub name of a reward model. Its own folder is not changed, so give
    --output runs/NAME. A reward model of one label gets a tie model, fitted to the votes, and then predicts ties too.

    For a blend the mean is calibrated. Its members keep the calibrations that they had when the weights were fitted.

    A new run can set votes aside for this in training: data.calibration_share=0.02 in its recipe.

    [bold]Examples[/]

      tiebreak calibrate runs/demo votes.csv

      tiebreak calibrate runs/demo --remove
    """
    if remove != (votes is None):
        raise DataError(
            f"Give {votes} or --remove, not both."
            if remove
            else f"Give votes to calibrate on: tiebreak calibrate {run} VOTES. To remove a calibration: --remove."
        )
    check_run_and_data(run, votes)
    if votes is None:
        _remove(run, as_json=as_json)
        return
    file = read_votes_with_progress(votes, votes="required", problem_rows=problem_rows, setting="--problem-rows ")
    load_libraries(run)
    from tiebreak.workflows.calibrate import calibrate_run
    from tiebreak.workflows.calibrate_published import calibrate_published

    with workflow_progress("Loading", "Fitting") as on_progress:
        if output is None:
            calibration = calibrate_run(
                run, file.comparisons, source=votes.name, base_model=base_model, log=log, on_progress=on_progress
            )
        else:
            calibration = calibrate_published(
                run.as_posix(), file.comparisons, output, source=votes.name, log=log, on_progress=on_progress
            )
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
    results.print("Removed the calibration." if removed else "The run has no calibration.")


def _print(calibration: Calibration) -> None:
    results.print(f"[bold]{'by cross-validation':24}{'log loss':>10}{'gain':>18}{'calibration error':>20}[/]")
    for candidate in calibration.candidates:
        gain = "" if candidate.method == "none" else f"{candidate.gain:+.4f} ± {candidate.gain_error:.4f}"
        kept = "   kept" if candidate.method == calibration.method else ""
        results.print(f"{candidate.name:24}{candidate.loss:>10.4f}{gain:>18}{candidate.error:>20.3f}{kept}")
    results.print(str(calibration), markup=False)
