"""`tiebreak plan`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from tiebreak.cli.arguments import OverridesArgument, RecipeArgument
from tiebreak.cli.console import log, print_json, problems, quiet_libraries, results
from tiebreak.data import check_votes_path
from tiebreak.errors import RecipeError
from tiebreak.extras import require_extra
from tiebreak.recipe import load_recipe


def command(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    gpu: Annotated[
        str,
        typer.Option(help="The card: t4, l4, a10, rtx3090, rtx4090, l40s, a100-40, a100, h100 or h200."),
    ] = ...,  # type: ignore[assignment]  # typer's way of saying that it has to be given
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Say whether a run fits a card and how long it takes, before anything is loaded.

    From the model's shape and the lengths of the votes: a sample of data.train where the recipe names it, else lengths
    like those of LMSYS's votes. Rates were measured on an H200 and scaled to the other cards by their data sheets.

    [bold]Example[/]

      tiebreak plan gemma2-9b-qlora data.train=train.csv --gpu a100
    """
    settings = load_recipe(recipe, overrides or [])
    if settings.baseline is not None:
        raise RecipeError(f"{recipe} fits a classical judge (baseline), which needs no GPU: there is nothing to plan.")
    if settings.data.train is not None:
        check_votes_path(settings.data.train)
    with problems.status("Planning ...") if problems.is_terminal else nullcontext():
        require_extra("train", "planning a run")
        quiet_libraries()
        from tiebreak.training.estimates import GIB, GPUS, plan_run, runs_own_layers

        if gpu not in GPUS:
            raise RecipeError(f"--gpu {gpu}: no such card is known. Name one of {', '.join(GPUS)}.")
        plan = plan_run(settings, GPUS[gpu], log)
    total = plan.training_seconds + plan.validation_seconds
    if as_json:
        print_json(
            {
                "gpu": gpu,
                "fits": plan.fits,
                "tokens_per_pass": plan.budget.tokens,
                "layers_checkpointed": plan.budget.checkpointed,
                "peak_gib": round(plan.peak_bytes / GIB, 2),
                "usable_gib": round(plan.usable_bytes / GIB, 2),
                "tokens_per_second": round(plan.tokens_per_second, 1),
                "training_seconds": round(plan.training_seconds, 1),
                "validation_seconds": round(plan.validation_seconds, 1),
            }
        )
        return
    verdict = "[bold green]fits[/]" if plan.fits else "[bold red]does not fit[/]"
    results.print(
        f"{verdict}: {plan.peak_bytes / GIB:.1f} GiB at the peak, of {plan.usable_bytes / GIB:.1f} to plan with on one "
        f"{gpu}\n{plan.budget.tokens:,} tokens a pass, {plan.budget.checkpointed} layers checkpointed\n"
        f"{plan.tokens_per_second:,.0f} tokens a second\n"
        f"{_duration(total)}, of which {_duration(plan.validation_seconds)} validating; loading comes on top"
    )
    if not plan.fits:
        results.print("Take model.precision=nf4, a smaller model, a lower text.max_length, or a larger card.")
    if not runs_own_layers(GPUS[gpu], settings.model.precision):
        results.print(
            "Reckoned with Tiebreak's own layers; this run takes transformers', which are slower and need more memory."
        )
    elif gpu != "h200":
        results.print(f"Time is scaled from an H200, not measured on {gpu}.")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
