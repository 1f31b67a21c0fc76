"""`tiebreak check`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from tiebreak.cli.console import diagnostics, print_json, results
from tiebreak.formatting import pluralize

if TYPE_CHECKING:
    from tiebreak.data import FileCheck, Summary

_QUIET_SECONDS = 3


MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=COLUMN",
        help="Read a column from one of another name, as prompt=question; winner.0=model_a says what a vote means.",
    ),
]

MoreColumns = Annotated[list[str] | None, typer.Argument(metavar="[COLUMN=COLUMN...]", help="More of --map.")]

ToolCallsOption = Annotated[
    Literal["refuse", "text"],
    typer.Option(help="Tool calls in answers of messages: refuse, or read as text, as data.tool_calls."),
]


def command(
    data: Annotated[Path, typer.Argument(help="Votes: CSV, TSV, JSON lines, JSON, Parquet, or a data set of the hub.")],
    more: MoreColumns = None,
    columns: MapOption = None,
    tool_calls: ToolCallsOption = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Check a file of votes: a summary, and every row that cannot be used, with its line number.

    Reads the columns of LMSYS and WSDM (prompt, response_a, response_b, and winner_model_a, winner_model_b,
    winner_tie as 0/1 or as probabilities, or winner), prompt, chosen, rejected, and layouts of other projects, and
    prints what was read from which column. A cell holds a text, a list of turns, or messages. The exit status is 1 if a
    row cannot be used.

    [bold]Examples[/]

      tiebreak check train.csv

      tiebreak check lmarena-ai/arena-human-preference-55k

      tiebreak check pku.jsonl --map winner=safer_response_id
    """
    from tiebreak.data import check_file, parse_mapping

    mapping = parse_mapping([*(columns or []), *(more or [])])
    with _delayed_progress() as on_progress:
        check = check_file(data, columns=mapping, tool_calls=tool_calls, on_progress=on_progress)
    summary = check.summary
    if as_json:
        unlisted = {"unlisted_problems": check.unlisted_problems} if check.unlisted_problems else {}
        problems = [asdict(problem) for problem in check.problems]
        print_json({**summary.to_dict(), "problem_rows": problems, **unlisted})
    else:
        _print_summary(summary)
        print_sources(summary.column_sources, summary.vote_source)
        _print_unread_columns(summary)
        _print_duplicates(summary)
        _print_problems(check)
    if summary.usable_rows < summary.rows:
        raise typer.Exit(1)


@contextmanager
def _delayed_progress() -> Iterator[Callable[[int, int], None]]:
    """A function that draws a progress bar with the time left, in a terminal and from the third second on."""
    progress = Progress(
        TextColumn("Reading"), BarColumn(), TaskProgressColumn(), TextColumn("left"), TimeRemainingColumn(),
        console=diagnostics, transient=True, disable=not diagnostics.is_terminal,
    )  # fmt: skip
    task = progress.add_task("")
    started = time.monotonic()

    def update(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)
        if time.monotonic() - started > _QUIET_SECONDS:
            progress.start()

    try:
        yield update
    finally:
        progress.stop()


def _print_summary(summary: Summary) -> None:
    results.print(
        f"[bold]{escape(summary.path)}[/]: {pluralize(summary.rows, 'row')} ({summary.format}, {summary.layout})"
    )
    if summary.shares is not None:
        a, b, tie = summary.shares.values()
        results.print(f"Votes: A {a:.1%}, B {b:.1%}, tie {tie:.1%}")
    if summary.margins:
        results.print(f"With a margin: {pluralize(summary.margins, 'row')}")
    if summary.weights is not None:
        weights = summary.weights
        zero = f", {weights.zero_rows:,} of them 0" if weights.zero_rows else ""
        results.print(
            f"With another weight than 1: {pluralize(weights.rows, 'row')}{zero}. The weights sum to "
            f"{weights.sum:,.6g}, and the rows count as {weights.effective_rows:,.1f} rows of equal weight."
        )
    if summary.multi_turn_share is not None:
        results.print(f"With more than one turn: {summary.multi_turn_share:.1%}")
    table = Table("words", "median", "90 %", "99 %", "longest", box=None, header_style="bold")
    for name, lengths in (("prompt", summary.prompt), ("answer", summary.answers), ("row", summary.whole)):
        if lengths is not None:
            words = lengths.words
            table.add_row(name, *(f"{n:,}" for n in (words.median, words.p90, words.p99, words.max)))
    if table.row_count:
        results.print(table)


def print_sources(column_sources: dict[str, str], vote_source: str) -> None:
    """Print which columns Tiebreak's own columns were read from, where the names differ, and how votes were read."""
    if not column_sources:
        return
    table = Table("column", "read from", box=None, header_style="bold")
    for name, column in column_sources.items():
        how = f" ({vote_source})" if name == "winner" and vote_source else ""
        table.add_row(name, escape(column) + how)
    results.print(table)
    if vote_source and "winner" not in column_sources:
        results.print(f"Votes: {vote_source}")


def _print_unread_columns(summary: Summary) -> None:
    meant = {name: hint for name, hint in summary.unread_columns.items() if hint}
    others = ", ".join(name for name, hint in summary.unread_columns.items() if not hint)
    if meant:
        results.print("Columns that are not read, but look as if they should be:")
        for name, hint in meant.items():
            results.print(f"  {escape(name)}: {hint}")
    if others:
        results.print(f"{'Other columns' if meant else 'Columns'} that are not read: {escape(others)}")


def _print_duplicates(summary: Summary) -> None:
    if summary.duplicate_rows:
        results.print(
            f"Duplicates: {summary.duplicate_rows:,} rows in {pluralize(summary.duplicate_groups, 'group')} have the "
            "same prompt and answers."
        )
    if summary.contradictions:
        results.print(f"Contradicting votes: {len(summary.contradictions):,} of these groups. Lines:")
        for lines in summary.contradictions:
            results.print(f"  {', '.join(map(str, lines))}")
    if summary.identical_answers_with_winner:
        identical = ", ".join(map(str, summary.identical_answers_with_winner))
        results.print(f"Identical answers with a winner: lines {identical}")


def _print_problems(check: FileCheck) -> None:
    summary = check.summary
    for title, notes, rows in (
        ("Rows that cannot be used as they are", False, check.unusable_rows),
        ("Notes on usable rows", True, check.rows_with_notes),
    ):
        problems = [p for p in check.problems if (p.severity == "note") == notes]
        if problems:
            listed = Counter(p.kind for p in problems)
            kinds = Counter({kind: summary.problems[kind] for kind in listed})
            counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
            results.print(f"\n[bold]{title}[/] ({rows:,}; {counts}):")
            for problem in problems:
                results.print(f"  {escape(str(problem))}")
            for kind, count in (kinds - listed).items():
                results.print(f"  and {pluralize(count, 'more problem')} of the kind {kind}")
    unusable = summary.rows - summary.usable_rows
    if unusable:
        results.print(
            f"\n{unusable:,} of {pluralize(summary.rows, 'row')} cannot be used as they are. Fix them, or train with "
            "data.problem_rows=skip to leave them out, or with =keep to keep empty texts and repeated ids."
        )
    elif summary.layout == "unlabelled":
        results.print(f"\n{pluralize(summary.rows, 'row')}: all can be judged. There are no votes to train on.")
    else:
        results.print(f"\n{pluralize(summary.rows, 'row')}: all can be used.")
