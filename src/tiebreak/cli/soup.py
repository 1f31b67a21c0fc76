"""`tiebreak soup`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import log, print_json, problems, program, quiet_libraries, results
from tiebreak.cli.judging_options import BaseModelOption, ProblemRows, check_run_and_data, read_votes_with_progress


def command(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs of one recipe, with other seeds, say.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new run's folder.")],
    on: Annotated[
        Path | None,
        typer.Option(help="Votes to measure on. By default the validation rows, if all runs have the same."),
    ] = None,
    base_model: BaseModelOption = None,
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON.")] = False,
) -> None:
    """Average the adapters of several runs into one run, and say whether that beats each of them.

    What the adapters add to the base's weights is averaged exactly, by putting their factors side by side: the new
    adapter's rank is the sum of theirs. It judges at the price of one run, where a blend takes that of all.

    [bold]Example[/]

      tiebreak soup runs/seed-1 runs/seed-2 runs/seed-3 -o runs/soup
    """
    for run in runs:
        check_run_and_data(run)
    votes = None
    if on is not None:
        votes = read_votes_with_progress(
            on, votes="required", problem_rows=problem_rows, setting="--problem-rows "
        ).comparisons
    with problems.status("Loading libraries ...") if problems.is_terminal else nullcontext():
        quiet_libraries()
        from tiebreak.workflows.soup import soup_runs
    soup = soup_runs(runs, output, votes=votes, base_model=base_model, log=log)
    if as_json:
        print_json(
            {"run": str(output), "rank": soup.rank, "rows": soup.rows, "metrics": soup.metrics,
             "members": soup.members, "gain": soup.gain}
        )  # fmt: skip
        return
    results.print(f"[bold]Log loss on {soup.rows:,} comparisons[/]")
    for name, loss in soup.members.items():
        results.print(f"  {loss:.4f}  {name}")
    results.print(f"  {soup.metrics['loss']:.4f}  {output} (their average, rank {soup.rank})")
    better = "better" if soup.gain > 0 else "no better"
    results.print(
        f"The soup is {better} than its best member, by {soup.gain:+.4f}. Next:\n  {program()} evaluate {output} VOTES"
    )
