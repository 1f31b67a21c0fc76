"""`tiebreak evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiebreak.cli.benchmark_results import evaluate_benchmark
from tiebreak.cli.console import log, print_json
from tiebreak.cli.judging_options import (
    BaseModelOption,
    FileSwapOption,
    MergeOption,
    NoCalibrationOption,
    ProblemRows,
    RunArgument,
    check_run_and_data,
    load_libraries,
    workflow_progress,
)

if TYPE_CHECKING:
    from tiebreak.judges import Swap


def command(
    run: RunArgument,
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Votes: CSV, JSONL, Parquet, or a data set of the hub. By default the run's validation rows. With "
            "--benchmark: its file or folder, if it is not to be downloaded from the hub."
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Score a benchmark by its own rule: rewardbench, rewardbench2, llmbar, judgebench, mt-bench, or a "
            "file of one or of your own labelled pairs.",
        ),
    ] = None,
    swap: FileSwapOption = "none",
    bias: Annotated[
        bool, typer.Option("--bias", help="Judge every row in both orders, and measure the position bias.")
    ] = False,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Fit baselines to the votes that the run was trained on, and measure them on the same rows. They are "
            "fitted once and kept in RUN/baselines; boosted trees take minutes for more than 10,000 votes.",
        ),
    ] = False,
    base_model: BaseModelOption = None,
    merge: MergeOption = None,
    no_calibration: NoCalibrationOption = False,
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, with the calibration curves.")
    ] = False,
) -> None:
    """Judge votes, and measure how well the run predicts them.

    - Log loss and accuracy, for all rows and by the outcome people voted for; Brier score, calibration error and AUC.
    In brackets are 95 % intervals over prompts.

    - The same in slices by source, model, number of turns, length and language, if the file has the columns source,
    model_a, model_b, language.

    - Length bias and format bias: whether longer or more formatted answers win more often with the judge than with
    people. With --bias also position bias: how much the order of the answers matters.

    [bold]Examples[/]

      tiebreak evaluate runs/demo votes.csv --swap average

      tiebreak evaluate runs/demo votes.csv --bias --json > evaluation.json

    Without DATA, the run's own validation rows are judged; --bias then keeps what tiebreak report needs:

      tiebreak evaluate runs/demo --bias --baselines

    With --benchmark, a benchmark is downloaded from the hub, or read from a file or folder:

      tiebreak evaluate runs/demo --benchmark rewardbench2

      tiebreak evaluate runs/demo Downloads/JudgeBench/data --benchmark judgebench

      tiebreak evaluate runs/demo --benchmark pairs-with-gold-labels.parquet
    """
    check_run_and_data(run, data)
    if benchmark is not None:
        _check_benchmark_options(swap, bias, baselines, problem_rows)
        evaluate_benchmark(run, benchmark, data, base_model, merge, calibrate=not no_calibration, as_json=as_json)
        return
    from tiebreak.workflows.evaluate import evaluate, load_labelled_votes

    votes = None
    if data is not None:
        votes = load_labelled_votes(data, problem_rows=problem_rows, setting="--problem-rows ", log=log)
    load_libraries(run)
    with workflow_progress("Loading", "Measuring") as on_progress:
        result = evaluate(
            run, votes, swap=swap, bias=bias, baselines=baselines, calibrate=not no_calibration,
            base_model=base_model, merge=merge, log=log, on_progress=on_progress,
        )  # fmt: skip
    if data is not None:
        result = replace(result, data=str(data))
    if as_json:
        print_json(result.to_dict())
        return
    from tiebreak.cli.evaluation_tables import print_result

    print_result(result)
    if bias and result.position_bias is None:
        log("This judge reads one answer at a time: it has no position bias.")


def _check_benchmark_options(swap: Swap, bias: bool, baselines: bool, problem_rows: ProblemRows) -> None:
    """Raise for options that a benchmark's own rule decides."""
    for option, is_set in (
        ("--swap", swap != "none"),
        ("--bias", bias),
        ("--baselines", baselines),
        ("--problem-rows", problem_rows != "refuse"),
    ):
        if is_set:
            raise typer.BadParameter(
                "leave it out with --benchmark, which judges every row, and in both orders where the order matters",
                param_hint=option,
            )
