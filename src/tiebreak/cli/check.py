"""`tiebreak check`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tiebreak.cli.console import print_json, results
from tiebreak.formatting import pluralize

if TYPE_CHECKING:
    from tiebreak.data import Summary, VoteFile


def command(
    data: Annotated[Path, typer.Argument(help="Votes: CSV, JSONL, Parquet, or a data set of the hub.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Check a file of votes: a summary, and every row that cannot be used, with its line number.

    Reads the columns of LMSYS and WSDM (prompt, response_a, response_b, and winner_model_a, winner_model_b,
    winner_tie as 0/1 or as probabilities, or winner), and prompt, chosen, rejected. A cell holds a text, or a JSON
    list of turns. The exit status is 1 if a row cannot be used.

    [bold]Examples[/]

      tiebreak check train.csv

      tiebreak check lmarena-ai/arena-human-preference-55k
    """
    from tiebreak.data import read_votes, summarise

    file = read_votes(data, votes="optional")
    if file.layout != "unlabelled" and any(c.vote is None for c in file.comparisons):
        file = read_votes(data, votes="required")  # some rows lack votes that others have: training refuses them
    summary = summarise(file)
    if as_json:
        print_json({**summary.to_dict(), "problem_rows": [asdict(problem) for problem in file.problems]})
    else:
        _print_summary(summary)
        _print_unread_columns(summary)
        _print_duplicates(summary)
        _print_problems(file, summary)
    if summary.usable_rows < summary.rows:
        raise typer.Exit(1)


def _print_summary(summary: Summary) -> None:
    results.print(
        f"[bold]{escape(summary.path)}[/]: {pluralize(summary.rows, 'row')} ({summary.format}, {summary.layout})"
    )
    if summary.shares is not None:
        a, b, tie = summary.shares.values()
        results.print(f"Votes: A {a:.1%}, B {b:.1%}, tie {tie:.1%}")
    if summary.margins:
        results.print(f"With a margin: {pluralize(summary.margins, 'row')}")
    if summary.multi_turn_share is not None:
        results.print(f"With more than one turn: {summary.multi_turn_share:.1%}")
    table = Table("words", "median", "90 %", "99 %", "longest", box=None, header_style="bold")
    for name, lengths in (("prompt", summary.prompt), ("answer", summary.answers), ("row", summary.whole)):
        if lengths is not None:
            words = lengths.words
            table.add_row(name, *(f"{n:,}" for n in (words.median, words.p90, words.p99, words.max)))
    if table.row_count:
        results.print(table)


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


def _print_problems(file: VoteFile, summary: Summary) -> None:
    for title, notes in (("Rows that cannot be used as they are", False), ("Notes on usable rows", True)):
        problems = [p for p in file.problems if (p.severity == "note") == notes]
        if problems:
            kinds = Counter(p.kind for p in problems).most_common()
            counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
            results.print(f"\n[bold]{title}[/] ({len({p.line for p in problems}):,}; {counts}):")
            for problem in problems:
                results.print(f"  {escape(str(problem))}")
    unusable = summary.rows - summary.usable_rows
    if unusable:
        results.print(
            f"\n{unusable:,} of {pluralize(summary.rows, 'row')} cannot be used as they are. Fix them, or train with "
            "data.problem_rows=skip to leave them out, or with =keep to keep empty texts and repeated ids."
        )
    elif file.layout == "unlabelled":
        results.print(f"\n{pluralize(summary.rows, 'row')}: all can be judged. There are no votes to train on.")
    else:
        results.print(f"\n{pluralize(summary.rows, 'row')}: all can be used.")
