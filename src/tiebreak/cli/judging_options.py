"""What the judging verbs share: their arguments, and loading, reading and judging with progress shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import TextColumn

from tiebreak.cli.console import log, problems, progress_bar, quiet_libraries
from tiebreak.errors import RunError
from tiebreak.judges.answer_order import swapped_share
from tiebreak.runs import RunFolder
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from tiebreak.data import VoteFile
    from tiebreak.judges import Judge, Merge, Swap, Verdict

RunArgument = Annotated[Path, typer.Argument(help="A run's folder, as runs/demo.")]
SwapOption = Annotated[
    Literal["none", "average"],
    typer.Option(help="Judge as given, or in both orders and take the mean: twice the time, no favour for a side."),
]


def _swap(value: str) -> str:
    try:
        swapped_share(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return value


FileSwapOption = Annotated[
    str,
    typer.Option(
        metavar="none|average|uncertain:SHARE",
        parser=_swap,
        help="Judge as given, or in both orders and take the mean: twice the time, no favour for a side. "
        "uncertain:0.33 does so for the third of the rows whose verdicts are the least certain, which is nearly as "
        "good; a verdict then depends on what else is in the file.",
    ),
]
NoCalibrationOption = Annotated[
    bool,
    typer.Option(
        "--no-calibration", help="Leave probabilities as the model gives them, where the run has a calibration."
    ),
]
BaseModelOption = Annotated[
    str | None, typer.Option(help="Where the base model is now, if not where it was in training.")
]
MergeOption = Annotated[
    Literal["bf16", "fp8"] | None,
    typer.Option(
        help="Merge the adapter into the full-precision base and hold that in bf16 or fp8: faster for many rows on a "
        "GPU, with numbers a little off the trained judge's."
    ),
]
ProblemRows = Annotated[
    Literal["refuse", "skip", "keep"],
    typer.Option(
        help="Rows that cannot be used as they are: refuse the file, skip them, or keep empty texts and repeated ids "
        "as they are (unreadable rows are refused even so)."
    ),
]


def check_run_and_data(run: Path, data: Path | None = None) -> None:
    """Refuse what is no trained run before anything else is read, and arguments in the wrong order."""
    if data is not None and run.is_file() and data.is_dir():
        raise RunError(f"{run} is a file and {data} a folder: the run comes first, then the data: {data} {run}.")
    RunFolder(run).check_trained()


def load_judge_with_progress(
    run: Path, base_model: str | None = None, merge: Merge | None = None, *, calibrate: bool = True
) -> Judge:
    """Load a run's judge, with a sign of life in a terminal."""
    with problems.status(f"Loading {run} ...") if problems.is_terminal else nullcontext():
        if not RunFolder(run).holds_a_baseline:  # which needs none of them
            quiet_libraries()
        from tiebreak.judges import load_judge

        return load_judge(run, base_model=base_model, merge=merge, calibrate=calibrate, log=log)


def read_votes_with_progress(
    data: Path, *, votes: Literal["required", "optional"], problem_rows: ProblemRows, setting: str | None
) -> VoteFile:
    """Read comparisons; what is dropped or repaired is told. `setting`: what to write before other `problem_rows`."""
    from tiebreak.data import load_votes

    return load_votes(data, votes=votes, problem_rows=problem_rows, setting=setting, on_note=log)


def compare_with_progress(judge: Judge, comparisons: Sequence[Comparison], *, swap: Swap) -> list[Verdict]:
    """Judge with a progress bar; what was cut is told."""
    with comparison_progress(judge.texts(len(comparisons), swap)) as advance:
        verdicts = judge.compare_many(comparisons, swap=swap, on_progress=advance)
    log_truncation([v.tokens_lost for v in verdicts])
    return verdicts


def compare_orders_with_progress(judge: Judge, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
    """Judge in both orders with a progress bar; what was cut is told."""
    with comparison_progress(judge.texts(len(comparisons), "average")) as advance:
        orders = judge.compare_orders(comparisons, on_progress=advance)
    log_truncation([max(v.tokens_lost for v in both) for both in orders])
    return orders


@contextmanager
def comparison_progress(total: int, unit: str = "texts") -> Iterator[Callable[[int], None]]:
    """A progress bar, and what moves it on."""
    progress = progress_bar(TextColumn("Judging"), unit)
    with progress:
        task = progress.add_task("", total=total)
        yield lambda n: progress.advance(task, n)


def log_truncation(lost: Sequence[int]) -> None:
    """Say how many comparisons were not read whole, of which these many tokens were cut."""
    cut = [n for n in lost if n]
    if cut:
        log(f"{len(cut):,} of {len(lost):,} comparisons were cut to fit: {sum(cut):,} tokens were not read.")
