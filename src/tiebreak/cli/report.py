"""`tiebreak report`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import problems, quiet_libraries, results, tell
from tiebreak.cli.judging import RunArgument, look_at_run


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
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file; by default RUN/report.html.")
    ] = None,
) -> None:
    """Write one HTML file that shows what a run came to; it needs no network and prints well.

    Metrics with intervals beside simple guesses and other runs, learning curves, reliability, what was taken for what,
    breakdowns, biases, the surest mistakes and the most surprising ties with their texts, what was cut, the recipe and
    what it cost. No model is run: the numbers are those of the validation that training ended with.

    [bold]Examples[/]

      tiebreak report runs/demo

      tiebreak report runs/gemma --beside runs/baseline-length --beside runs/baseline-trees -o gemma.html
    """
    look_at_run(run)
    with problems.status("Writing the report ...") if problems.is_terminal else nullcontext():
        quiet_libraries()
        from tiebreak.report import write_report

        path = write_report(run, on=on, beside=beside or [], output=output, tell=tell)
    results.print(f"Wrote {path}: open it in a browser.", markup=False)
