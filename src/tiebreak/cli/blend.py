"""`tiebreak blend`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TextColumn

from tiebreak.cli.console import log, print_json, program, progress_bar, results
from tiebreak.cli.judging_options import (
    ProblemRows,
    SwapOption,
    check_run_and_data,
    load_libraries,
    read_votes_with_progress,
)
from tiebreak.formatting import pluralize

if TYPE_CHECKING:
    from tiebreak.workflows.blend import Blend


def command(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs of any kind.")],
    on: Annotated[
        Path, typer.Option(help="100 or more votes to fit the weights on; none of the runs may be trained on them.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new run's folder.")],
    swap: SwapOption = "none",
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Blend several runs: fit weights on votes, and write the weighted mean as a new run.

    The weights minimise the log loss on the votes. The table shows what each run adds, and how good the blend is, by
    cross-validation: each vote is predicted with weights that were fitted without its prompt. A blend takes the time
    of all its members and needs their folders to stay in place. It can be calibrated afterwards (tiebreak calibrate).

    [bold]Example[/]

      tiebreak blend runs/pairwise runs/pointwise runs/baseline-trees --on calibration.csv -o runs/blend
    """
    for run in runs:
        check_run_and_data(run)
    file = read_votes_with_progress(on, votes="required", problem_rows=problem_rows, setting="--problem-rows ")
    load_libraries(*runs)
    from tiebreak.workflows.blend import blend_runs

    progress = progress_bar(TextColumn("Judging"), "texts")
    with progress:
        task = progress.add_task("", total=None)
        blend = blend_runs(
            runs, output, file.comparisons, swap=swap, log=log, on_progress=lambda n: progress.advance(task, n)
        )
    if as_json:
        print_json(
            {"run": str(output), "rows": blend.rows, "metrics": blend.metrics,
             "members": [asdict(member) for member in blend.members]}
        )  # fmt: skip
        return
    _print(blend, output, on.name)


def _print(blend: Blend, output: Path, votes: str) -> None:
    results.print(f"[bold]{'weight':>8}{'log loss':>10}{'adds':>9}  run[/]")
    for member in blend.members:
        results.print(f"{member.weight:>8.3f}{member.loss:>10.4f}{member.gain:>+9.4f}  {member.run}")
    loss = blend.metrics["loss"]
    best = min(member.loss for member in blend.members)
    results.print(
        f"{'':8}{loss:>10.4f}{best - loss:>+9.4f}  {output} (the blend, and its gain over the best member)\n"
        f"By cross-validation on {pluralize(blend.rows, 'row')} of {votes}. Next:\n"
        f"  {program()} evaluate {output} VOTES"
    )
