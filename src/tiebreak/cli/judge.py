"""`tiebreak judge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tiebreak.cli.console import log, print_json, results
from tiebreak.cli.judging_options import (
    BaseModelOption,
    NoCalibrationOption,
    RunArgument,
    SwapOption,
    check_run_and_data,
    load_judge_with_progress,
    read_votes_with_progress,
)
from tiebreak.errors import DataError
from tiebreak.judges import Score, Verdict
from tiebreak.types import B_WINS, Comparison, Outcome

SAID: dict[Outcome, str] = {"model_a": "Model a", "model_b": "Model b", "tie": "tie"}


def command(
    run: RunArgument,
    prompt: Annotated[str | None, typer.Option(help="What was asked.")] = None,
    a: Annotated[str | None, typer.Option(help="The first answer.")] = None,
    b: Annotated[str | None, typer.Option(help="The second answer.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A file with one comparison instead: prompt, response_a, response_b.")
    ] = None,
    swap: SwapOption = "none",
    no_calibration: NoCalibrationOption = False,
    base_model: BaseModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Judge one comparison, from options or from a file. What is not given is asked for.

    [bold]Examples[/]

      tiebreak judge runs/demo --prompt "1 + 1 = ?" --a 2 --b 3

      tiebreak judge runs/demo --file comparison.json --swap average
    """
    check_run_and_data(run)
    if file is None:
        comparison = Comparison((_asked("Prompt", prompt),), (_asked("Answer A", a),), (_asked("Answer B", b),))
    else:
        comparison = _from_file(file, given=(prompt, a, b))
    judge = load_judge_with_progress(run, base_model, calibrate=not no_calibration)
    [verdict] = judge.compare_many([comparison], swap=swap)
    scores = judge.score_many(comparison.conversations) if judge.gives_rewards else []
    if verdict.tokens_lost:
        log(f"The comparison was cut to fit: {verdict.tokens_lost:,} tokens were not read.")
    if as_json:
        probabilities = {"model_a": verdict.model_a, "model_b": verdict.model_b, "tie": verdict.tie}
        rewards = {f"reward_{side}": score.reward for side, score in zip("ab", scores, strict=False)}
        print_json({"answer": verdict.answer, **probabilities, **rewards, "tokens_lost": verdict.tokens_lost})
        return
    print_verdict(verdict, scores)


def _asked(name: str, given: str | None) -> str:
    text = str(typer.prompt(name, err=True)) if given is None else given  # standard output is the verdict's
    if not text.strip():
        log(f"{name} is empty: it is judged as an empty text.")
    return text


def _from_file(file: Path, given: Sequence[str | None]) -> Comparison:
    if any(text is not None for text in given):
        raise DataError(f"Give --file {file} or --prompt, --a and --b, not both.")
    read = read_votes_with_progress(file, votes="optional", problem_rows="keep", setting=None)
    if len(read.comparisons) != 1:
        raise DataError(f"{file} holds {len(read.comparisons):,} comparisons, judge takes one: use tiebreak predict.")
    [comparison] = read.comparisons
    if read.layout == "chosen-rejected":
        log("Model a is the chosen answer, model b the rejected one.")
        return comparison.swap() if comparison.vote == B_WINS else comparison
    return comparison


def print_verdict(verdict: Verdict, scores: Sequence[Score] = ()) -> None:
    """The three probabilities and the answer, in the words of the notebook Tiebreak began with, after the rewards."""
    if scores:
        a, b = scores
        results.print(f"Reward of a {a.reward:+.3f}   of b {b.reward:+.3f}")
    results.print(f"Model a {verdict.model_a:.3f}   Model b {verdict.model_b:.3f}   tie {verdict.tie:.3f}")
    results.print(f"[bold]Answer: {SAID[verdict.answer]}[/]")
