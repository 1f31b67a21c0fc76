"""The command line: one file per command."""

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
    convert,
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
    help="Train a judge and a reward model from people's votes: which of two answers is preferred, or is it a tie?\n\n"
    "Start with [bold]tiebreak demo[/]. Then [bold]tiebreak check[/] your votes, and [bold]tiebreak train[/] on them.",
    epilog="For the options of a command: tiebreak COMMAND --help.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    demo, check, convert, plan, train, evaluate, calibrate, predict, score, judge, serve, blend, soup, report, export,
):  # fmt: skip
    app.command(module.__name__.rpartition(".")[2])(module.command)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"tiebreak {RELEASE}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. A `TiebreakError` prints its message and exits with status 1."""
    # Fast tokenizers warn when a process that used them forks, as data loaders and git do.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        app()
    except TiebreakError as error:
        report_error(str(error))
        sys.exit(1)
