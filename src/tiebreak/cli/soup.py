"""`tiebreak soup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import log, print_json, program, results
from tiebreak.cli.judging_options import (
    BaseModelOption,
    ProblemRows,
    check_run_and_data,
    load_libraries,
    read_votes_with_progress,
)


def command(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs of one recipe, with different seeds.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new run's folder.")],
    on: Annotated[
        Path | None,
        typer.Option(help="Votes to measure on. By default the validation rows, if they are the same in all runs."),
    ] = None,
    base_model: BaseModelOption = None,
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Average the adapters of several runs into one run (a model soup), and compare it with each of them.

    The average of the adapters' weight updates is exact: the new adapter's rank is the sum of theirs. A soup takes
    the time of one run, where a blend takes that of all its members.

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
    load_libraries(*runs)
    from tiebreak.workflows.soup import soup_runs

    soup = soup_runs(runs, output, votes=votes, base_model=base_model, log=log)
    if as_json:
        print_json(
            {"run": str(output), "rank": soup.rank, "rows": soup.rows, "metrics": soup.metrics,
             "members": soup.members, "gain": soup.gain,
             "training_overlap": None if soup.training_overlap is None else soup.training_overlap.to_dict()}
        )  # fmt: skip
        return
    results.print(f"[bold]Log loss on {soup.rows:,} comparisons[/]")
    for name, loss in soup.members.items():
        results.print(f"  {loss:.4f}  {name}")
    results.print(f"  {soup.metrics['loss']:.4f}  {output} (the soup, rank {soup.rank})")
    comparison = "lower" if soup.gain > 0 else "not lower"
    results.print(
        f"The soup's log loss is {comparison} than that of its best member (gain {soup.gain:+.4f}). Next:\n"
        f"  {program()} evaluate {output} VOTES"
    )
