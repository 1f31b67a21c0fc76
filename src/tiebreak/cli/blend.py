"""`tiebreak blend`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TextColumn

from tiebreak.cli.console import log, print_json, problems, program, progress_bar, quiet_libraries, results
from tiebreak.cli.judging_options import ProblemRows, SwapOption, check_run_and_data, read_votes_with_progress
from tiebreak.formatting import pluralize


def command(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs of any kind.")],
    on: Annotated[
        Path, typer.Option(help="Votes to find the weights on, 100 or more, that none of the runs has learned from.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new run's folder.")],
    swap: SwapOption = "none",
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON.")] = False,
) -> None:
    """Find the weights under which several runs judge best together, and keep their mean as a run that judges.

    The weights have the lowest log loss on the votes. The table says what each run adds, and how good the blend is, by
    cross-validation: each vote is judged with weights that were found without its prompt. A blend takes the time of
    all its members, needs their folders where they are, and can be calibrated afterwards (tiebreak calibrate).

    [bold]Example[/]

      tiebreak blend runs/pairwise runs/pointwise runs/baseline-trees --on calibration.csv -o runs/blend
    """
    for run in runs:
        check_run_and_data(run)
    file = read_votes_with_progress(on, votes="required", problem_rows=problem_rows, setting="--problem-rows ")
    with problems.status("Loading libraries ...") if problems.is_terminal else nullcontext():
        quiet_libraries()
        from tiebreak.workflows.blend import blend_runs
    progress = progress_bar(TextColumn("Judging"), "texts")
    with progress:
        task = progress.add_task("", total=None)
        made = blend_runs(
            runs, output, file.comparisons, swap=swap, log=log, on_progress=lambda n: progress.advance(task, n)
        )
    if as_json:
        print_json(
            {"run": str(output), "rows": made.rows, "metrics": made.metrics,
             "members": [asdict(member) for member in made.members]}
        )  # fmt: skip
        return
    results.print(f"[bold]{'weight':>8}{'log loss':>10}{'adds':>9}  run[/]")
    for member in made.members:
        results.print(f"{member.weight:>8.3f}{member.loss:>10.4f}{member.gain:>+9.4f}  {member.run}")
    best = min(member.loss for member in made.members)
    results.print(
        f"{'':8}{made.metrics['loss']:>10.4f}{best - made.metrics['loss']:>+9.4f}  {output} (their blend, and what it "
        f"gains on the best of them)\nBy cross-validation on the {pluralize(made.rows, 'row')} of {on.name}. Next:\n"
        f"  {program()} evaluate {output} VOTES"
    )
