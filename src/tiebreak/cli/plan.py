"""`tiebreak plan`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from tiebreak.cli.arguments import OverridesArgument, RecipeArgument
from tiebreak.cli.console import diagnostics, log, print_json, quiet_libraries, results
from tiebreak.errors import RecipeError
from tiebreak.extras import require_extra
from tiebreak.recipe import load_recipe
from tiebreak.training.vote_sources import check_sources

if TYPE_CHECKING:
    from tiebreak.training.plan import Plan

_GIB = 2**30


def command(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    gpu: Annotated[
        str,
        typer.Option(help="The GPU: t4, l4, a10, rtx3090, rtx4090, l40s, a100-40, a100, h100 or h200."),
    ] = ...,  # type: ignore[assignment]  # typer's way to require an option
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Estimate whether a run fits a GPU and how long it takes, before the model is loaded.

    The estimate uses the model's shape and the lengths of the votes: a sample of data.train if the recipe names it,
    else lengths as in LMSYS's votes. Rates were measured on an H200 and scaled to other GPUs by their data sheets.

    [bold]Example[/]

      tiebreak plan gemma2-9b-qlora data.train=train.csv --gpu a100
    """
    settings = load_recipe(recipe, overrides or [])
    if settings.baseline is not None:
        raise RecipeError(f"{recipe} fits a baseline, which needs no GPU: there is nothing to plan.")
    check_sources(settings.data)
    require_extra("train", "planning a run")
    with diagnostics.status("Planning ...") if diagnostics.is_terminal else nullcontext():
        quiet_libraries()
        from tiebreak.training.cost_model import GPUS, uses_fused_layers
        from tiebreak.training.plan import plan_run

        if gpu not in GPUS:
            raise RecipeError(f"--gpu {gpu} is unknown. Choose one of {', '.join(GPUS)}.")
        plan = plan_run(settings, GPUS[gpu], log)
    if as_json:
        _print_as_json(plan, gpu)
        return
    _print(plan, gpu)
    if not uses_fused_layers(GPUS[gpu], settings.model.precision):
        results.print(
            "The estimate assumes Tiebreak's fused layers. This run uses transformers' layers, which are slower and "
            "need more memory."
        )
    elif gpu != "h200":
        results.print(f"Times are scaled from an H200, not measured on {gpu}.")


def _print_as_json(plan: Plan, gpu: str) -> None:
    print_json(
        {
            "gpu": gpu,
            "fits": plan.fits,
            "tokens_per_pass": plan.budget.tokens,
            "layers_checkpointed": plan.budget.checkpointed,
            "peak_gib": round(plan.peak_bytes / _GIB, 2),
            "usable_gib": round(plan.usable_bytes / _GIB, 2),
            "tokens_per_second": round(plan.tokens_per_second, 1),
            "training_seconds": round(plan.training_seconds, 1),
            "validation_seconds": round(plan.validation_seconds, 1),
        }
    )


def _print(plan: Plan, gpu: str) -> None:
    fits = "[bold green]fits[/]" if plan.fits else "[bold red]does not fit[/]"
    total = plan.training_seconds + plan.validation_seconds
    results.print(
        f"{fits}: peak {plan.peak_bytes / _GIB:.1f} GiB, usable {plan.usable_bytes / _GIB:.1f} GiB on one {gpu}\n"
        f"{plan.budget.tokens:,} tokens per pass, {plan.budget.checkpointed} layers checkpointed\n"
        f"{plan.tokens_per_second:,.0f} tokens per second\n"
        f"{_duration(total)}, including {_duration(plan.validation_seconds)} of validation, without loading the model"
    )
    if not plan.fits:
        results.print("Use model.precision=nf4, a smaller model, a lower text.max_length, or a larger GPU.")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
