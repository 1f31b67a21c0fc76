"""`tiebreak report`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import log, problems, quiet_libraries, results
from tiebreak.cli.judging_options import BaseModelOption, RunArgument, check_run_and_data


def command(
    run: RunArgument,
    on: Annotated[
        Path | None,
        typer.Option(
            metavar="VOTES", help="The votes the run was validated on, if they are not where its recipe says."
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
            help="Fit classical judges to the votes the run learned from, and show it beside them. By default all of "
            "them, but boosted trees only from 10,000 votes or fewer. They are fitted once: RUN/baselines keeps them.",
        ),
    ] = None,
    bias: Annotated[
        bool | None,
        typer.Option(
            "--bias/--no-bias",
            help="Judge the rows in both orders, and show how much the order of the answers matters. By default where "
            "that is quick: on a GPU, or by the built-in model. It is done once: RUN/orders.parquet keeps it.",
        ),
    ] = None,
    base_model: BaseModelOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file; by default RUN/report.html.")
    ] = None,
) -> None:
    """Write one HTML file that shows what a run came to; it needs no network and prints well.

    Metrics with intervals beside classical judges and other runs, learning curves, reliability, what was taken for
    what, breakdowns, biases, the surest mistakes and the most surprising ties with their texts, what was cut, the
    recipe and what it cost. The numbers are those of the validation that training ended with.

    [bold]Examples[/]

      tiebreak report runs/demo

      tiebreak report runs/gemma --beside runs/baseline-length --beside runs/baseline-trees -o gemma.html
    """
    check_run_and_data(run)
    with problems.status("Writing the report ...") if problems.is_terminal else nullcontext() as status:

        def judged(done: int, total: int) -> None:
            if status is not None:
                status.update(f"Judging in both orders: {done:,} of {total:,} texts ...")

        quiet_libraries()
        from tiebreak.report import write_report

        path = write_report(
            run, on=on, beside=beside or [], baselines=baselines, bias=bias, base_model=base_model, output=output,
            log=log, on_progress=judged,
        )  # fmt: skip
    results.print(f"Wrote {path}: open it in a browser.", markup=False)
