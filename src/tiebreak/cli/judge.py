"""`tiebreak judge`."""

from __future__ import annotations

from typing import Annotated

import typer

from tiebreak.cli.console import print_json, results, tell
from tiebreak.cli.judging import RunArgument, SwapOption, load_judge_aloud
from tiebreak.comparison import Outcome
from tiebreak.judge import Verdict

SAID: dict[Outcome, str] = {"model_a": "Model a", "model_b": "Model b", "tie": "tie"}


def command(
    run: RunArgument,
    prompt: Annotated[str, typer.Option(help="What was asked.", prompt=True)],
    a: Annotated[str, typer.Option(help="The first answer.", prompt="Answer A")],
    b: Annotated[str, typer.Option(help="The second answer.", prompt="Answer B")],
    swap: SwapOption = "none",
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Judge one comparison. What is not given as an option is asked for.

    [bold]Example[/]

      tiebreak judge runs/demo --prompt "1 + 1 = ?" --a 2 --b 3
    """
    verdict = load_judge_aloud(run).compare(prompt, a, b, swap=swap)
    if verdict.tokens_lost:
        tell(f"The comparison was cut to fit: {verdict.tokens_lost:,} tokens were not read.")
    if as_json:
        probabilities = {"model_a": verdict.model_a, "model_b": verdict.model_b, "tie": verdict.tie}
        print_json({"answer": verdict.answer, **probabilities, "tokens_lost": verdict.tokens_lost})
        return
    print_verdict(verdict)


def print_verdict(verdict: Verdict) -> None:
    """The three probabilities and the answer, in the words of the notebook Tiebreak began with."""
    results.print(f"Model a {verdict.model_a:.3f}   Model b {verdict.model_b:.3f}   tie {verdict.tie:.3f}")
    results.print(f"[bold]Answer: {SAID[verdict.answer]}[/]")
