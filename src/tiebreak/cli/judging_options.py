"""What the judging commands share: options, and reading, loading and judging with progress on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import TextColumn

from tiebreak.cli.console import log, progress_bar, quiet_libraries, status
from tiebreak.errors import RunError
from tiebreak.judges.answer_order import swapped_share
from tiebreak.runs import RunFolder
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from tiebreak.data import VoteFile
    from tiebreak.judges import Judge, Merge, Swap, Verdict

RunArgument = Annotated[
    Path, typer.Argument(help="A run's folder, such as runs/demo, or a published judge's folder or hub name.")
]
SwapOption = Annotated[
    Literal["none", "average"],
    typer.Option(help="Judge as given, or average both orders: twice the time, and no position bias."),
]


def _parse_swap(value: str) -> str:
    try:
        swapped_share(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return value


FileSwapOption = Annotated[
    str,
    typer.Option(
        metavar="none|average|uncertain:SHARE",
        parser=_parse_swap,
        help="Judge as given, or average both orders: twice the time, and no position bias. uncertain:0.33 averages "
        "both orders for the least certain third of the rows, which is nearly as good; a verdict then depends on the "
        "other rows of the file.",
    ),
]
NoCalibrationOption = Annotated[
    bool, typer.Option("--no-calibration", help="Do not apply the run's calibration to the probabilities.")
]
BaseModelOption = Annotated[
    str | None, typer.Option(help="Where the base model is now, if it is not where it was in training.")
]
MergeOption = Annotated[
    Literal["bf16", "fp8"] | None,
    typer.Option(
        help="Merge the adapter into the full-precision base model, in bf16 or fp8: faster for many rows on a GPU. "
        "Probabilities differ slightly from those of the trained judge."
    ),
]
ProblemRows = Annotated[
    Literal["refuse", "skip", "keep"],
    typer.Option(
        help="Rows that cannot be used as they are: refuse the file, skip the rows, or keep empty texts and repeated "
        "ids. Unreadable rows are never kept."
    ),
]


def check_run_and_data(run: Path, data: Path | None = None) -> None:
    """Raise RunError, before anything else is read, if there is no trained run or the arguments are swapped."""
    if data is not None and run.is_file() and data.is_dir():
        raise RunError(f"{run} is a file and {data} is a folder. Name the run first, then the data: {data} {run}.")
    RunFolder(run).check_trained()


def load_libraries(*runs: Path) -> None:
    """Import and silence the libraries that the judges of these runs need; baselines need none of them."""
    with status("Loading libraries ..."):
        if not all(RunFolder(run).holds_a_baseline for run in runs):
            quiet_libraries()


def load_judge_with_progress(
    run: Path, base_model: str | None = None, merge: Merge | None = None, *, calibrate: bool = True
) -> Judge:
    """Load a run's judge."""
    load_libraries(run)
    with status(f"Loading {run} ..."):
        from tiebreak.judges import load_judge

        return load_judge(run, base_model=base_model, merge=merge, calibrate=calibrate, log=log)


def read_votes_with_progress(
    data: Path, *, votes: Literal["required", "optional"], problem_rows: ProblemRows, setting: str | None
) -> VoteFile:
    """Read comparisons; rows that are left out or repaired are logged.

    Args:
        data: the file.
        votes: whether rows need votes.
        problem_rows: what to do with rows that cannot be used.
        setting: what users type before another value of `problem_rows`; None if they cannot choose.
    """
    from tiebreak.data import load_votes

    return load_votes(data, votes=votes, problem_rows=problem_rows, setting=setting, on_note=log)


def compare_with_progress(judge: Judge, comparisons: Sequence[Comparison], *, swap: Swap) -> list[Verdict]:
    """Judge comparisons; truncation is logged."""
    from tiebreak.workflows.evaluate import truncation_message

    with comparison_progress(judge.texts(len(comparisons), swap)) as advance:
        verdicts = judge.compare_many(comparisons, swap=swap, on_progress=advance)
    message = truncation_message([verdict.tokens_lost for verdict in verdicts])
    if message is not None:
        log(message)
    return verdicts


@contextmanager
def comparison_progress(total: int, unit: str = "texts") -> Iterator[Callable[[int], None]]:
    """A progress bar; yields a function to call with the number of texts judged since the last call."""
    progress = progress_bar(TextColumn("Judging"), unit)
    with progress:
        task = progress.add_task("", total=total)
        yield lambda n: progress.advance(task, n)


@contextmanager
def workflow_progress(before: str, after: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for a workflow; yields a function to call with the number of texts judged, and the total.

    Args:
        before: what the bar shows until the first text is judged.
        after: what it shows when all are judged.
    """
    progress = progress_bar(TextColumn("{task.description}"), "texts")
    with progress:
        task = progress.add_task(before, total=None)

        def update(done: int, total: int) -> None:
            progress.update(
                task, description="Judging" if done < total else after, completed=done, total=total
            )  # fmt: skip

        yield update
