"""`tiebreak predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import results
from tiebreak.cli.judging import (
    BaseModelOption,
    RunArgument,
    SwapOption,
    load_judge_aloud,
    look_at_run,
    read_aloud,
    verdicts_aloud,
)
from tiebreak.errors import DataError
from tiebreak.wording import counted


def command(
    run: RunArgument,
    data: Annotated[Path, typer.Argument(help="Comparisons with or without votes: CSV, JSONL or Parquet.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write: .csv, .parquet or .jsonl.")] = Path(
        "submission.csv"
    ),
    swap: SwapOption = "none",
    base_model: BaseModelOption = None,
) -> None:
    """Judge a file and write Kaggle's submission columns.

    The output has the columns id, winner_model_a, winner_model_b, winner_tie; a row for every row of the input, in its
    order; three probabilities that sum to 1. An empty answer is judged as an empty text.

    [bold]Example[/]

      tiebreak predict runs/demo test.csv -o submission.csv --swap average
    """
    from tiebreak.judging import check_submission_path, write_submission

    look_at_run(run, data)
    check_submission_path(output)
    if output.resolve() == data.resolve():
        raise DataError(f"{output} is the file to be judged: it would be overwritten. Give -o another name.")
    if (output.parent / "recipe.yaml").exists():
        raise DataError(f"{output} lies in a run's folder, whose own files it could replace. Choose another place.")
    comparisons = read_aloud(data, votes="optional", problem_rows="keep")
    if not comparisons:
        raise DataError(f"{data} holds no comparisons to judge.")
    judge = load_judge_aloud(run, base_model)
    verdicts = verdicts_aloud(judge, comparisons, swap=swap)
    write_submission(output, comparisons, [(v.model_a, v.model_b, v.tie) for v in verdicts])
    results.print(f"{output}: {counted(len(comparisons), 'row')}.")
