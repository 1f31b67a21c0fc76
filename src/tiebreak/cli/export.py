"""`tiebreak export`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from tiebreak.cli.console import diagnostics, log, print_json, quiet_libraries, results
from tiebreak.cli.judging_options import BaseModelOption, RunArgument, check_run_and_data


def command(
    run: RunArgument,
    folder: Annotated[Path, typer.Argument(help="The folder to make; it must not hold anything yet.")],
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(help="The type of the merged weights; auto is the type of the base checkpoint."),
    ] = "auto",
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="Write only adapter and head, in PEFT's format.")
    ] = False,
    base_model: BaseModelOption = None,
    on: Annotated[
        Path | None,
        typer.Option(
            help="Comparisons to measure the drift on, with or without votes, instead of the validation rows."
        ),
    ] = None,
    skip_drift: Annotated[
        bool,
        typer.Option(
            "--skip-drift", help="Do not measure the drift: for a model that this machine cannot run unquantized."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write a run's judge as a plain Hugging Face folder, for use without Tiebreak.

    Adapter and head are merged into the base in full precision. AutoModelForSequenceClassification and
    pipeline("text-classification") read the folder: three labels, or one reward. Its tokenizer's chat template renders
    messages into the judge's template, and README.md is a model card with code.

    [bold]Drift[/]: the outputs of a judge that was trained on a 4-bit base change when it is merged into the full base.
    The written folder is loaded again, run on up to 200 validation rows, and compared with the run's judge.

    [bold]Memory[/]: 2 bytes per weight for a base checkpoint in 16 bits, 4 for one in 32 bits. Measuring the drift
    takes 4 bytes per weight, on the GPU if there is one.

    [bold]Examples[/]

      tiebreak export runs/demo demo-judge

      tiebreak export runs/gemma2-9b-qlora judge-adapter --adapter-only --skip-drift
    """
    from tiebreak.export import check_export_folder, export_run

    check_run_and_data(run)
    check_export_folder(folder)
    if on is not None:
        from tiebreak.data import check_votes_path

        check_votes_path(on)
    with diagnostics.status(f"Loading {run} ...") if diagnostics.is_terminal else nullcontext() as status:
        quiet_libraries()
        report = export_run(
            run,
            folder,
            dtype=dtype,
            adapter_only=adapter_only,
            base_model=base_model,
            on=on,
            skip_drift=skip_drift,
            log=log,
            on_stage=lambda stage: None if status is None else status.update(f"{stage} ..."),
        )
    if as_json:
        print_json({"run": str(run), **asdict(report), "folder": str(folder)})
        return
    labels = "three labels" if report.labels == 3 else "one label, the reward"
    contents = "adapter and head" if report.adapter_only else report.architecture
    results.print(f"{folder}: {contents}, {labels}, {report.dtype}, {report.bytes / 1e6:,.1f} MB.", markup=False)
    results.print("The drift was not measured." if report.drift is None else str(report.drift), markup=False)
    results.print(f"How to use it: {folder / 'README.md'}", markup=False)
