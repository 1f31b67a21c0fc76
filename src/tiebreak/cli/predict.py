"""`tiebreak predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import log, results
from tiebreak.cli.judging_options import (
    BaseModelOption,
    FileSwapOption,
    MergeOption,
    NoCalibrationOption,
    RunArgument,
    check_run_and_data,
    compare_with_progress,
    load_judge_with_progress,
    read_votes_with_progress,
)
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.types import B_WINS, swap_vote


def command(
    run: RunArgument,
    data: Annotated[
        Path, typer.Argument(help="Comparisons with or without votes: CSV, JSONL, Parquet, or a data set of the hub.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Output file: .csv, .parquet or .jsonl; CSV without an ending."),
    ] = Path("submission.csv"),
    swap: FileSwapOption = "none",
    no_calibration: NoCalibrationOption = False,
    base_model: BaseModelOption = None,
    merge: MergeOption = None,
) -> None:
    """Judge a file and write Kaggle's submission columns.

    The output has the columns id, winner_model_a, winner_model_b, winner_tie, and one row per input row, in the same
    order. The three probabilities sum to 1. An empty answer is judged as an empty text. In files of chosen and rejected
    answers, model a is the chosen one.

    [bold]Example[/]

      tiebreak predict runs/demo test.csv -o submission.csv --swap average
    """
    from tiebreak.runs import check_submission_path, write_submission

    check_run_and_data(run, data)
    check_submission_path(output)
    if output.resolve() == data.resolve():
        raise DataError(f"{output} is the input file and would be overwritten. Give another -o.")
    if (output.parent / "recipe.yaml").exists():
        raise DataError(f"{output} is in a run folder, whose files it could overwrite. Choose another folder.")
    file = read_votes_with_progress(data, votes="optional", problem_rows="keep", setting=None)
    comparisons = file.comparisons
    judge = load_judge_with_progress(run, base_model, merge, calibrate=not no_calibration)
    verdicts = compare_with_progress(judge, comparisons, swap=swap)
    probabilities = [verdict.probabilities for verdict in verdicts]
    if file.layout == "chosen-rejected":  # a hash of the row decided the side of the chosen answer
        sides = zip(comparisons, probabilities, strict=True)
        probabilities = [swap_vote(three) if c.vote == B_WINS else three for c, three in sides]
        log("Model a is the chosen answer in every row, model b the rejected one.")
    write_submission(output, comparisons, probabilities, integer_ids=file.integer_ids)
    kind = "" if output.suffix else ", as CSV"
    results.print(f"{output}: {pluralize(len(comparisons), 'row')}{kind}.")
