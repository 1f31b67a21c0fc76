"""`tiebreak evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import print_json, results, tell
from tiebreak.cli.judging import (
    BaseModelOption,
    MergeOption,
    ProblemRows,
    RunArgument,
    SwapOption,
    load_judge_aloud,
    look_at_run,
    read_aloud,
    verdicts_aloud,
)
from tiebreak.comparison import A_WINS
from tiebreak.wording import counted


def command(
    run: RunArgument,
    data: Annotated[Path, typer.Argument(help="Votes: CSV, JSONL or Parquet.")],
    swap: SwapOption = "none",
    base_model: BaseModelOption = None,
    merge: MergeOption = None,
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Judge votes and say how good that was: log loss and accuracy, in all and by outcome.

    [bold]Example[/]

      tiebreak evaluate runs/demo votes.csv --swap average
    """
    look_at_run(run, data)
    file = read_aloud(data, votes="required", problem_rows=problem_rows, setting="--problem-rows ")
    comparisons = file.comparisons
    if file.layout == "chosen-rejected":
        first = sum(c.vote == A_WINS for c in comparisons)
        tell(
            f"A hash of each row decides which side its chosen answer is judged on: A in {first:,}, B in "
            f"{len(comparisons) - first:,}."
        )
    judge = load_judge_aloud(run, base_model, merge)
    verdicts = verdicts_aloud(judge, comparisons, swap=swap)

    from tiebreak.judging import preference_metrics

    votes = [c.vote for c in comparisons if c.vote is not None]
    metrics = preference_metrics([(v.model_a, v.model_b, v.tie) for v in verdicts], votes)
    if as_json:
        print_json({"run": str(run), "data": str(data), "rows": len(votes), "swap": swap, **metrics})
        return
    results.print(f"[bold]{'':24}{'log loss':>10}{'accuracy':>10}[/]")
    results.print(f"{counted(len(votes), 'row'):24}{metrics['loss']:>10.4f}{metrics['accuracy']:>10.3f}")
    for outcome, name in (("model_a", "A was preferred"), ("model_b", "B was preferred"), ("tie", "a tie")):
        if f"loss_{outcome}" in metrics:
            results.print(f"{name:24}{metrics[f'loss_{outcome}']:>10.4f}{metrics[f'accuracy_{outcome}']:>10.3f}")
    results.print("A uniform guess has a log loss of 1.0986.")
