"""`tiebreak convert`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from tiebreak.cli.check import MapOption, MoreColumns, ToolCallsOption, print_sources
from tiebreak.cli.console import print_json, results
from tiebreak.dataset_names import parse_dataset_name
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize

if TYPE_CHECKING:
    from tiebreak.data import VoteFile


def command(
    data: Annotated[Path, typer.Argument(help="A file of preferences: CSV, TSV, JSON lines, JSON or Parquet.")],
    more: MoreColumns = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Write votes here: .parquet, .jsonl or .csv.")] = ...,  # type: ignore[assignment]
    columns: MapOption = None,
    tool_calls: ToolCallsOption = "refuse",
    problem_rows: Annotated[
        Literal["refuse", "skip", "keep"],
        typer.Option(help="Rows that cannot be used: leave them out, refuse the file, or keep empty texts and ids."),
    ] = "skip",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was read and written as JSON.")] = False,
) -> None:
    """Convert a file of preferences in any layout to a file of votes.

    Layouts of other projects are recognised by their columns, as `tiebreak check` shows them: Chatbot Arena, HH-RLHF,
    UltraFeedback, HelpSteer2 and 3, PKU-SafeRLHF, SHP, Nectar, summarize-from-feedback, LLaMA-Factory, ms-swift, OpenAI
    and others. --map names the columns of any other table. Every row that is left out is counted.

    [bold]Examples[/]

      tiebreak convert helpsteer2.jsonl.gz -o votes.parquet

      tiebreak convert table.csv -o votes.parquet --map prompt=question response_a=answer_1 response_b=answer_2
      winner=label winner.0=model_a winner.1=model_b winner.2=tie
    """
    from tiebreak.data import check_written_path, parse_mapping, read_votes, select_rows, write_comparisons

    check_written_path(output)
    if output.exists() and data.exists() and output.samefile(data):
        raise DataError(f"{output} is the file to convert. Write to another file.")
    dataset = parse_dataset_name(str(data))
    if dataset is not None and dataset.is_local and output.resolve().is_relative_to(Path(dataset.location).resolve()):
        raise DataError(
            f"{output} is in the data set to convert, whose files it could change. Write to another folder."
        )
    mapping = parse_mapping([*(columns or []), *(more or [])])
    whole = read_votes(data, votes="optional", columns=mapping, tool_calls=tool_calls)
    kept = select_rows(whole, problem_rows, setting="--problem-rows ")
    write_comparisons(output, kept.comparisons)
    if as_json:
        print_json(_as_dict(whole, kept, output))
        return
    results.print(f"[bold]{escape(str(data))}[/]: {pluralize(whole.rows, 'row')} ({whole.format}, {whole.layout_name})")
    print_sources(whole.column_sources, whole.vote_source)
    counts = _votes(kept)
    votes = f" ({', '.join(f'{name} {count:,}' for name, count in counts.items())})" if counts else ""
    results.print(f"Written to {escape(str(output))}: {pluralize(len(kept.comparisons), 'comparison')}{votes}")
    if set(counts) == {"no vote"}:
        results.print("No row has a vote. Name a column of votes with --map winner=COLUMN winner.VALUE=model_a ...")
    left_out = whole.rows - len(kept.comparisons)
    if left_out:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in _problems(whole).items())
        results.print(
            f"Left out: {pluralize(left_out, 'row')} ({kinds}). `tiebreak check {escape(str(data))}` lists them."
        )


def _as_dict(whole: VoteFile, kept: VoteFile, output: Path) -> dict[str, object]:
    return {
        "path": str(whole.path),
        "format": whole.format,
        "layout": whole.layout_name,
        "column_sources": whole.column_sources,
        "vote_source": whole.vote_source,
        "rows": whole.rows,
        "written": len(kept.comparisons),
        "votes": _votes(kept),
        "left_out": whole.rows - len(kept.comparisons),
        "problems": _problems(whole),
        "output": str(output),
    }


def _votes(file: VoteFile) -> dict[str, int]:
    """The number of comparisons with each outcome, or without one."""
    names = {(1.0, 0.0, 0.0): "A", (0.0, 1.0, 0.0): "B", (0.0, 0.0, 1.0): "tie", None: "no vote"}
    return dict(Counter(names.get(comparison.vote, "soft") for comparison in file.comparisons).most_common())


def _problems(file: VoteFile) -> dict[str, int]:
    """The number of problems of each kind that can leave a row out."""
    kinds = (problem.kind for problem in file.problems if problem.severity != "note")
    return dict(Counter(kinds).most_common())
