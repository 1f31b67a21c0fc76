"""Arguments that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

RecipeArgument = Annotated[str, typer.Argument(help="A recipe file, or the name of a recipe that Tiebreak ships.")]

OverridesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings that override the recipe's, as lora.r=32.")
]
