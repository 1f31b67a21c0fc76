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

ANSWERS: dict[Outcome, str] = {"model_a": "Model a", "model_b": "Model b", "tie": "tie"}


def command(
    run: RunArgument,
    prompt: Annotated[str | None, typer.Option(help="The prompt.")] = None,
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
    """Judge one comparison, from options or from a file. Missing texts are asked for.

    [bold]Examples[/]

      tiebreak judge runs/demo --prompt "1 + 1 = ?" --a 2 --b 3

      tiebreak judge runs/demo --file comparison.json --swap average
    """
    check_run_and_data(run)
    if file is None:
        comparison = Comparison((_ask("Prompt", prompt),), (_ask("Answer A", a),), (_ask("Answer B", b),))
    else:
        comparison = _from_file(file, options=(prompt, a, b))
    judge = load_judge_with_progress(run, base_model, calibrate=not no_calibration)
    [verdict] = judge.compare_many([comparison], swap=swap)
    scores = judge.score_many(comparison.conversations) if judge.gives_rewards else []
    if verdict.tokens_lost:
        log(f"The comparison was truncated: {verdict.tokens_lost:,} tokens were not read.")
    if as_json:
        probabilities = {"model_a": verdict.model_a, "model_b": verdict.model_b, "tie": verdict.tie}
        rewards = {f"reward_{side}": score.reward for side, score in zip("ab", scores, strict=False)}
        print_json({"answer": verdict.answer, **probabilities, **rewards, "tokens_lost": verdict.tokens_lost})
        return
    print_verdict(verdict, scores)


def _ask(name: str, text_or_none: str | None) -> str:
    # The prompt goes to standard error: standard output is for the verdict.
    text = str(typer.prompt(name, err=True)) if text_or_none is None else text_or_none
    if not text.strip():
        log(f"{name} is empty and is judged as an empty text.")
    return text


def _from_file(file: Path, options: Sequence[str | None]) -> Comparison:
    if any(text is not None for text in options):
        raise DataError(f"Give either --file {file} or --prompt, --a and --b.")
    votes = read_votes_with_progress(file, votes="optional", problem_rows="keep", setting=None)
    if len(votes.comparisons) != 1:
        raise DataError(
            f"{file} holds {len(votes.comparisons):,} comparisons, and judge takes one. Use tiebreak predict."
        )
    [comparison] = votes.comparisons
    if votes.layout == "chosen-rejected":
        log("Model a is the chosen answer, model b the rejected one.")
        return comparison.swap() if comparison.vote == B_WINS else comparison
    return comparison


def print_verdict(verdict: Verdict, scores: Sequence[Score] = ()) -> None:
    """Print rewards, probabilities and the answer."""
    if scores:
        a, b = scores
        results.print(f"Reward of a {a.reward:+.3f}   of b {b.reward:+.3f}")
    results.print(f"Model a {verdict.model_a:.3f}   Model b {verdict.model_b:.3f}   tie {verdict.tie:.3f}")
    results.print(f"[bold]Answer: {ANSWERS[verdict.answer]}[/]")
