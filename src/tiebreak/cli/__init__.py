"""The command line: one file a verb."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tiebreak._version import RELEASE
from tiebreak.cli import (
    blend,
    calibrate,
    check,
    demo,
    evaluate,
    export,
    judge,
    plan,
    predict,
    report,
    score,
    serve,
    soup,
    train,
)
from tiebreak.cli.launch import report_error
from tiebreak.errors import TiebreakError

app = typer.Typer(
    name="tiebreak",
    help="Fine-tune Gemma 2 with QLoRA into a judge of answers: which of two do people prefer, or is it a tie?\n\n"
    "Start with [bold]tiebreak demo[/], then [bold]tiebreak check[/] your votes and [bold]tiebreak train[/] on them.",
    epilog="Every command explains itself: tiebreak COMMAND --help.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (demo, check, plan, train, evaluate, calibrate, predict, score, judge, serve, blend, soup, report, export):
    app.command(verb.__name__.rpartition(".")[2])(verb.command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tiebreak {RELEASE}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; what went wrong on purpose is one message and exit status 1, anything else a traceback."""
    # The fast tokenizers warn when a process that used them forks, as data loaders and git do.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        app()
    except TiebreakError as error:
        report_error(str(error))
        sys.exit(1)
