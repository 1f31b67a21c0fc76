"""`tiebreak score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TextColumn

from tiebreak.cli.console import log, print_json, progress_bar, results
from tiebreak.cli.judging_options import (
    BaseModelOption,
    MergeOption,
    RunArgument,
    SwapOption,
    check_run_and_data,
    load_judge_with_progress,
)
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.runs import RunFolder

if TYPE_CHECKING:
    from tiebreak.data import Candidates, CandidatesFile
    from tiebreak.judges import Judge, Swap


def command(
    run: RunArgument,
    data: Annotated[
        Path,
        typer.Argument(
            help="Prompts with lists of answers (prompt, responses), with one (prompt, response) or with two (chosen, "
            "rejected; response_a, response_b), or whole conversations (messages): JSONL, Parquet or CSV."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Output file: .parquet, .jsonl or .csv.")] = Path(
        "scores.parquet"
    ),
    swap: SwapOption = "average",
    base_model: BaseModelOption = None,
    merge: MergeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Score answers, and rank the answers to each prompt.

    [bold]A reward model[/] (model.head=pointwise) scores every answer by itself. Rows with one answer give the columns
    id, reward (in nats) and normalised (in standard deviations from the mean of the validation answers). Rows with
    lists of answers give lists of these, ranks (1 is the best), best (its index, from 0) and best_response (its text).

    [bold]A pairwise judge[/] compares the answers to a prompt with each other: every pair of up to 8 answers, a Swiss
    tournament of about N log2 N comparisons for more. Davidson's tie model is fitted to the verdicts. The rewards have
    a mean of 0 for each prompt, so they are not comparable between prompts. It needs lists of two or more answers.

    [bold]Examples[/]

      tiebreak score runs/demo-pointwise answers.jsonl -o rewards.parquet

      tiebreak score runs/demo candidates.jsonl -o scores.parquet
    """
    from tiebreak.data import read_candidates
    from tiebreak.runs import check_submission_path

    check_run_and_data(run, data)
    check_submission_path(output)
    if output.resolve() == data.resolve():
        raise DataError(f"{output} is the input file and would be overwritten. Give another -o.")
    if (output.parent / "recipe.yaml").exists():
        raise DataError(f"{output} is in a run folder, whose files it could overwrite. Choose another folder.")
    file = read_candidates(data)
    _check_answers(run, data, file)
    judge = load_judge_with_progress(run, base_model, merge)
    summary = _rank(judge, file.rows, output, swap) if file.listed else _score(judge, file.rows, output)
    if as_json:
        print_json({"run": str(run), "data": str(data), "output": str(output), **summary})
        return
    counts = ", ".join(pluralize(number, noun.removesuffix("s")) for noun, number in summary.items() if number)
    results.print(f"{output}: {counts}.")


def _check_answers(run: Path, data: Path, file: CandidatesFile) -> None:
    """Check, before a model is loaded, that a pairwise judge can compare the answers."""
    folder = RunFolder(run)
    if not folder.holds_a_baseline and not folder.holds_a_blend:
        from tiebreak.models import published_head, read_card

        published = folder.names_a_model
        if (published_head(run.as_posix()) if published else read_card(folder.model).head) == "pointwise":
            return
    remedy = (
        "This judge compares answers with each other: give two or more to each prompt (a column responses), or train a "
        "reward model, which scores one by itself: model.head=pointwise."
    )
    if not file.listed:
        raise DataError(f"{data} has one answer a row. {remedy}")
    alone = [row.id for row in file.rows if len(row.answers) < 2]
    if alone:
        raise DataError(f"{data}: {pluralize(len(alone), 'row')} with a single answer (id {alone[0]} first). {remedy}")


def _score(judge: Judge, rows: tuple[Candidates, ...], output: Path) -> dict[str, int]:
    """Score one answer a row; returns what there was of what."""
    from tiebreak.runs import write_rewards
    from tiebreak.types import Conversation

    progress = progress_bar(TextColumn("Scoring"), "answers")
    with progress:
        task = progress.add_task("", total=len(rows))
        scores = judge.score_many(
            [Conversation(row.prompt, row.answers[0], row.system) for row in rows],
            on_progress=lambda n: progress.advance(task, n),
        )
    _log_truncated(sum(score.tokens_lost > 0 for score in scores), pluralize(len(scores), "answer"))
    write_rewards(output, [row.id for row in rows], [s.reward for s in scores], [s.normalised for s in scores])
    return {"answers": len(rows)}


def _rank(judge: Judge, rows: tuple[Candidates, ...], output: Path, swap: Swap) -> dict[str, int]:
    """Rank the answers of each row; returns what there was of what."""
    from tiebreak.runs import write_scores

    progress = progress_bar(TextColumn("Scoring"), "prompts")
    with progress:
        task = progress.add_task("", total=len(rows))
        rankings = judge.rank_many(
            [(row.prompt, row.answers) for row in rows],
            systems=[row.system for row in rows],
            swap=swap,
            on_progress=lambda n: progress.advance(task, n),
        )
    _log_truncated(
        sum(r.tokens_lost > 0 for r in rankings), pluralize(len(rows), "prompt"), what="Answers to {} of {}"
    )  # fmt: skip
    normalised = [ranking.normalised for ranking in rankings if ranking.normalised is not None]
    write_scores(
        output,
        [row.id for row in rows],
        [row.answers for row in rows],
        [r.rewards for r in rankings],
        [r.ranks for r in rankings],
        comparisons=None if judge.gives_rewards else [r.comparisons for r in rankings],
        normalised=normalised or None,
    )
    return {
        "prompts": len(rows),
        "answers": sum(len(row.answers) for row in rows),
        "comparisons": sum(ranking.comparisons for ranking in rankings),
    }


def _log_truncated(truncated: int, of: str, what: str = "{} of {}") -> None:
    if truncated:
        log(f"{what.format(f'{truncated:,}', of)} were truncated.")
