"""`tiebreak evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiebreak.cli.benchmark_results import evaluate_benchmark
from tiebreak.cli.console import log, print_json, problems
from tiebreak.cli.judging_options import (
    BaseModelOption,
    FileSwapOption,
    MergeOption,
    NoCalibrationOption,
    ProblemRows,
    RunArgument,
    check_run_and_data,
    compare_orders_with_progress,
    compare_with_progress,
    load_judge_with_progress,
    read_votes_with_progress,
)
from tiebreak.types import A_WINS, Comparison

if TYPE_CHECKING:
    from tiebreak.judges import Judge, Swap, Verdict

Probabilities = list[tuple[float, float, float]]


def command(
    run: RunArgument,
    data: Annotated[
        Path | None,
        typer.Argument(help="Votes: CSV, JSONL or Parquet. With --benchmark: its file or folder, if not from the hub."),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Score a benchmark by its own rule: rewardbench, rewardbench2, llmbar, judgebench, mt-bench, or a "
            "file of one or of your own labelled pairs.",
        ),
    ] = None,
    swap: FileSwapOption = "none",
    bias: Annotated[
        bool,
        typer.Option(
            "--bias", help="Judge every row in both orders, and say how much the order of the answers matters."
        ),
    ] = False,
    base_model: BaseModelOption = None,
    merge: MergeOption = None,
    no_calibration: NoCalibrationOption = False,
    problem_rows: ProblemRows = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, with reliability curves.")] = False,
) -> None:
    """Judge votes and say how good that was, how far its probabilities can be trusted, and what sways it.

    - Log loss and accuracy, in all and by the outcome people voted for; Brier score, calibration error (how far
    probabilities are from how often things come about) and AUC. In brackets are 95 % intervals: what other prompts
    would have given, by drawing whole prompts anew 1,000 times.

    - The same by source, model, number of turns, length and language, where the file tells them: columns source,
    model_a, model_b, language.

    - Whether longer or more formatted answers win more often with the judge than with people, and with --bias how
    much the judge favours the answer that comes first.

    [bold]Examples[/]

      tiebreak evaluate runs/demo votes.csv --swap average

      tiebreak evaluate runs/demo votes.csv --bias --json > evaluation.json

    With --benchmark it takes an exam instead, from the hub or from a file or folder that was downloaded:

      tiebreak evaluate runs/demo --benchmark rewardbench2

      tiebreak evaluate runs/demo Downloads/JudgeBench/data --benchmark judgebench

      tiebreak evaluate runs/demo --benchmark pairs-with-gold-labels.parquet
    """
    check_run_and_data(run, data)
    if benchmark is not None:
        _check_options(swap, bias, problem_rows)
        evaluate_benchmark(run, benchmark, data, base_model, merge, calibrate=not no_calibration, as_json=as_json)
        return
    if data is None:
        raise typer.BadParameter("name a file of votes, or --benchmark and one of its names", param_hint="DATA")
    file = read_votes_with_progress(data, votes="required", problem_rows=problem_rows, setting="--problem-rows ")
    comparisons = file.comparisons
    if file.layout == "chosen-rejected":
        first = sum(c.vote == A_WINS for c in comparisons)
        log(
            f"A hash of each row decides which side its chosen answer is judged on: A in {first:,}, B in "
            f"{len(comparisons) - first:,}."
        )
    judge = load_judge_with_progress(run, base_model, merge, calibrate=not no_calibration)
    probabilities, orders = _judged(judge, comparisons, swap, bias)
    if problems.is_terminal:
        with problems.status("Measuring ..."):
            found = _measured(probabilities, orders, comparisons)
    else:
        found = _measured(probabilities, orders, comparisons)
    if as_json:
        metrics = {n: e.value for n, e in found["evaluation"].metrics.items() if n.startswith(("loss", "accuracy"))}
        print_json(
            {"run": str(run), "data": str(data), "rows": len(comparisons), "swap": swap, **metrics, **_plain(found)}
        )
        return
    from tiebreak.cli.evaluation_tables import print_biases, print_breakdown, print_evaluation

    print_evaluation(found["evaluation"])
    print_breakdown(found["breakdown"])
    print_biases(*found["bias"].values())
    if bias and orders is None:
        log("This judge reads one answer at a time: which of them comes first makes no difference.")


def _check_options(swap: Swap, bias: bool, problem_rows: ProblemRows) -> None:
    """What a benchmark's rule leaves no choice in."""
    for option, given in (
        ("--swap", swap != "none"),
        ("--bias", bias),
        ("--problem-rows", problem_rows != "refuse"),
    ):
        if given:
            raise typer.BadParameter(
                "leave it out with --benchmark, which judges every row, and in both orders where the order matters",
                param_hint=option,
            )


def _judged(
    judge: Judge, comparisons: Sequence[Comparison], swap: Swap, bias: bool
) -> tuple[Probabilities, tuple[Probabilities, Probabilities] | None]:
    """Probabilities of each row; and with A first and with B first, if that is asked for and makes a difference."""
    if not bias or judge.gives_rewards:
        return _probabilities(compare_with_progress(judge, comparisons, swap=swap)), None
    both = compare_orders_with_progress(judge, comparisons)
    as_given, swapped = (_probabilities([orders[i] for orders in both]) for i in range(2))
    if swap == "none":
        probabilities = as_given
    elif swap == "average":
        pairs = zip(as_given, swapped, strict=True)
        probabilities = [((p[0] + q[0]) / 2, (p[1] + q[1]) / 2, (p[2] + q[2]) / 2) for p, q in pairs]
    else:
        probabilities = _probabilities(compare_with_progress(judge, comparisons, swap=swap))
    return probabilities, (as_given, swapped)


def _probabilities(verdicts: Sequence[Verdict]) -> Probabilities:
    return [verdict.probabilities for verdict in verdicts]


def _measured(
    probabilities: Probabilities,
    orders: tuple[Probabilities, Probabilities] | None,
    comparisons: Sequence[Comparison],
) -> dict[str, Any]:
    """The evaluation, its breakdown, and the biases by their names."""
    from tiebreak.metrics import (
        answer_lengths,
        evaluate,
        format_bias,
        format_counts,
        length_bias,
        position_bias,
        slice_metrics,
    )

    votes = [c.vote for c in comparisons]
    prompts = [c.folded_prompt for c in comparisons]
    return {
        "evaluation": evaluate(probabilities, votes, prompts),
        "breakdown": slice_metrics(probabilities, comparisons),
        "bias": {
            "position": None if orders is None else position_bias(*orders, votes, prompts),
            "length": length_bias(probabilities, votes, *answer_lengths(comparisons), prompts),
            "format": format_bias(probabilities, votes, format_counts(comparisons), prompts),
        },
    }


def _plain(found: Any) -> Any:
    """What JSON can hold."""
    if isinstance(found, dict):
        return {name: _plain(value) for name, value in found.items()}
    if isinstance(found, tuple):
        return [_plain(value) for value in found]
    return found.to_dict() if hasattr(found, "to_dict") else found
