"""`tiebreak score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TextColumn

from tiebreak.cli.console import progress_bar, results, tell
from tiebreak.cli.judging import (
    BaseModelOption,
    MergeOption,
    RunArgument,
    SwapOption,
    load_judge_aloud,
    look_at_run,
)
from tiebreak.errors import DataError
from tiebreak.wording import counted


def command(
    run: RunArgument,
    data: Annotated[
        Path, typer.Argument(help="Prompts with lists of answers (prompt, responses): JSONL, Parquet or CSV.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write: .parquet, .jsonl or .csv.")] = Path(
        "scores.parquet"
    ),
    swap: SwapOption = "average",
    base_model: BaseModelOption = None,
    merge: MergeOption = None,
) -> None:
    """Score and rank any number of answers to each prompt.

    Answers to a prompt are compared with each other, every pair of up to 8 answers, of more in a Swiss tournament of
    about N log2 N comparisons, and Davidson's model of ties is fitted to the verdicts. The output has the columns id,
    rewards and ranks (lists over the answers), best (the number of the best answer, from 0) and comparisons. Rewards
    are in nats and of mean 0 for each prompt: they compare answers to one prompt, not prompts.

    [bold]Example[/]

      tiebreak score runs/demo candidates.jsonl -o scores.parquet
    """
    from tiebreak.data import read_candidates
    from tiebreak.judging import check_submission_path, write_scores

    look_at_run(run, data)
    check_submission_path(output)
    if output.resolve() == data.resolve():
        raise DataError(f"{output} is the file to be scored: it would be overwritten. Give -o another name.")
    file = read_candidates(data)
    rows = file.rows
    alone = [row.id for row in rows if len(row.answers) < 2]
    if alone:
        raise DataError(
            f"{data}: {counted(len(alone), 'row')} with a single answer (id {alone[0]} first). This judge compares "
            "answers with each other: give two or more to each prompt."
        )
    judge = load_judge_aloud(run, base_model, merge)
    progress = progress_bar(TextColumn("Scoring"), "prompts")
    with progress:
        task = progress.add_task("", total=len(rows))
        rankings = judge.rank_many(
            [(row.prompt, row.answers) for row in rows], swap=swap, on_progress=lambda n: progress.advance(task, n)
        )
    cut = sum(ranking.tokens_lost > 0 for ranking in rankings)
    if cut:
        tell(f"Answers to {cut:,} of {len(rows):,} prompts were cut to fit.")
    write_scores(
        output, [row.id for row in rows], [r.rewards for r in rankings], [r.ranks for r in rankings],
        [r.comparisons for r in rankings],
    )  # fmt: skip
    total = sum(ranking.comparisons for ranking in rankings)
    results.print(f"{output}: {counted(len(rows), 'prompt')}, {counted(total, 'comparison')}.")
