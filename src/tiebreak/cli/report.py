"""`tiebreak report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import log, results
from tiebreak.cli.judging_options import (
    BaseModelOption,
    RunArgument,
    check_run_and_data,
    load_libraries,
    workflow_progress,
)


def command(
    run: RunArgument,
    on: Annotated[
        Path | None,
        typer.Option(
            metavar="VOTES",
            help="A file with the run's validation rows, if the run's folder does not keep them (Tiebreak 0.1) and "
            "they are not where its recipe says.",
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Another run to compare with, validated on the same rows. May be repeated."),
    ] = None,
    baselines: Annotated[
        bool | None,
        typer.Option(
            "--baselines/--no-baselines",
            help="Fit the missing baselines to the votes that the run was trained on (kept in RUN/baselines), or leave "
            "baselines out. By default the report shows those in RUN/baselines. Boosted trees take minutes for more "
            "than 10,000 votes.",
        ),
    ] = None,
    bias: Annotated[
        bool | None,
        typer.Option(
            "--bias/--no-bias",
            help="Judge the validation rows in both orders (kept in RUN/orders.parquet), or leave the position bias "
            "out. By default the report shows it if RUN/orders.parquet is there.",
        ),
    ] = None,
    base_model: BaseModelOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The HTML file; by default RUN/report.html.")
    ] = None,
) -> None:
    """Write a run's report: one HTML file that needs no network and can be printed.

    It shows metrics with intervals, next to baselines and other runs; learning curves, calibration, the confusion
    matrix, slices, biases, the most confident mistakes and the least expected ties with their texts, truncation, the
    recipe and the cost. All metrics are on the run's validation rows.

    The report renders what is in the run's folder, and names the command that makes what is missing.

    [bold]Examples[/]

      tiebreak report runs/demo --baselines --bias

      tiebreak report runs/gemma --beside runs/baseline-length --beside runs/baseline-trees -o gemma.html
    """
    check_run_and_data(run)
    load_libraries(run)
    from tiebreak.report import write_report

    with workflow_progress("Writing the report", "Writing the report") as on_progress:
        path = write_report(
            run, on=on, beside=beside or [], baselines=baselines, bias=bias, base_model=base_model, output=output,
            log=log, on_progress=on_progress,
        )  # fmt: skip
    results.print(f"Wrote {path}. Open it in a browser.", markup=False)
