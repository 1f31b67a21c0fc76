"""`tiebreak evaluate --benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from tiebreak.cli.console import diagnostics, log, print_json, results
from tiebreak.cli.evaluation_tables import interval, print_table
from tiebreak.cli.judging_options import comparison_progress, load_judge_with_progress
from tiebreak.formatting import pluralize

if TYPE_CHECKING:
    from tiebreak.benchmarks import Items, Result
    from tiebreak.judges import Merge


def evaluate_benchmark(
    run: Path,
    name: str,
    data: Path | None,
    base_model: str | None,
    merge: Merge | None,
    *,
    calibrate: bool,
    as_json: bool,
) -> None:
    """Score a run on a benchmark and print the scores.

    Raises:
        DataError: as in `load_benchmark`.
        ModelError, MemoryBudgetError, RunError: the run's judge cannot be loaded or fails.
    """
    from tiebreak.benchmarks import load_benchmark, run_benchmark, work
    from tiebreak.runs import RunFolder
    from tiebreak.workflows.vote_overlap import measure_training_overlap

    if diagnostics.is_terminal:
        with diagnostics.status(f"Reading {name} ..."):
            items = load_benchmark(name, data)
    else:
        items = load_benchmark(name, data)
    if items.left_out:
        log(f"Left out: {items.left_out}.")
    overlap = measure_training_overlap(RunFolder(run), [row.prompt[0] for row in items.rows], log)
    judge = load_judge_with_progress(run, base_model, merge, calibrate=calibrate)
    with comparison_progress(work(judge, items)) as advance:
        result = run_benchmark(judge, items, on_progress=advance)
    if result.cut:
        log(f"{pluralize(result.cut, 'row')} truncated: {result.tokens_lost:,} tokens were not read.")
    if as_json:
        print_json(
            {
                "run": str(run),
                "benchmark": items.about.name,
                "title": items.about.title,
                "rule": items.about.rule,
                "files": list(items.files),
                "rows": len(items.rows),
                "left_out": items.left_out,
                "training_overlap": None if overlap is None else overlap.to_dict(),
                **result.to_dict(),
            }
        )
        return
    _print_scores(items, result)


def _print_scores(items: Items, result: Result) -> None:
    """The benchmark's rule and the table of scores."""
    results.print(f"[bold]{escape(items.about.title)}[/]: {pluralize(len(items.rows), 'row')}")
    results.print(escape(items.about.rule))
    rows = [
        (
            score.name,
            f"{score.estimate.value:.4f}",
            interval(score.estimate, 3),
            f"{score.rows:,}" if score.rows else "",
        )
        for score in result.scores
    ]
    headline = result.scores[0]
    if headline.missing:
        log(f"{headline.name} lacks {', '.join(headline.missing)}, which the file does not have: it is not comparable.")
    print_table([("", "score", "95 % interval", "rows"), *rows])
