"""A recipe's file -> a recipe, with overrides on top; and back to YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tiebreak.errors import RecipeError
from tiebreak.recipe.error_messages import nearest, validation_message
from tiebreak.recipe.schema import Recipe, holds_text
from tiebreak.recipe.yaml import read_yaml, write_yaml


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with Tiebreak."""
    here = Path(__file__).parents[1] / "recipes"  # in an installed package
    folder = here if here.is_dir() else Path(__file__).parents[3] / "recipes"  # in a checkout
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, put `key.key=value` overrides on top, and check every key and value.

    `path` may also be the bare name of a shipped recipe. Values of overrides are read as YAML, but those of keys that
    hold a text or a path are taken as they are.

    Raises:
        RecipeError: no such file, not YAML, an unknown key, an impossible value; all of them at once.
    """
    file = _recipe_file(Path(path))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} cannot be read as YAML: {error}") from error
    values = read_yaml(text, str(file))
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError(f"{file} holds a {type(values).__name__} where a recipe is a mapping of sections.")
    for override in overrides:
        _apply(values, override)
    if file.name == "recipe.yaml" and (file.parent / "environment.json").exists():
        values["output"] = str(file.parent)  # a run's own recipe: the run is where it lies, even if it was moved
    values.setdefault("output", f"runs/{file.stem}")
    return _checked(values, str(file), overrides)


def _recipe_file(path: Path) -> Path:
    """The file that is meant: by its path, or by the name of a shipped recipe."""
    shipped = shipped_recipes()
    if not path.is_file():
        # `recipes/seed.yaml` is found from any folder, as is plain `seed`.
        if path.stem in shipped and str(path.parent) in (".", "recipes"):
            return shipped[path.stem]
        if (path / "recipe.yaml").is_file():
            raise RecipeError(
                f"{path} is a run's folder, not a recipe. Go on with the run: tiebreak train {path / 'recipe.yaml'} "
                "--resume."
            )
        if path.is_dir():
            raise RecipeError(f"{path} is a folder, not a recipe (a YAML file). A model's goes into model.name={path}.")
        raise RecipeError(f"There is no recipe {path}.{nearest(path.stem, shipped, 'Tiebreak comes with')}")
    if path.suffix.lower() in (".csv", ".jsonl", ".parquet", ".gz"):
        raise RecipeError(f"{path} is no recipe, but looks like votes: tiebreak train RECIPE data.train={path}.")
    return path


def parse_recipe(values: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Check a mapping of sections, as `load_recipe` does.

    Raises:
        RecipeError: an unknown key or an impossible value; all of them at once.
    """
    return _checked(values, source)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every value written out; `load_recipe` reads it back to an equal recipe."""
    return write_yaml(recipe.model_dump(mode="json"))


def _apply(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not re.fullmatch(r"[a-z_]+(\.[a-zA-Z_]\w*)*", key):
        raise RecipeError(f"{override!r} is no override: write key=value, for instance training.learning_rate=1e-4.")
    quoted = text[:1] in ("'", '"')
    as_it_is = holds_text(key) and not quoted and text not in ("", "null")
    value = text if as_it_is else read_yaml(text, f"The value of {override!r}")
    *sections, last = key.split(".")
    target = values
    for depth, section in enumerate(sections):
        inner = target.setdefault(section, {})
        if inner is None:
            inner = target[section] = {}
        if not isinstance(inner, dict):
            raise RecipeError(f"{override!r}: {'.'.join(sections[: depth + 1])} is no section but {inner!r}.")
        target = inner
    target[last] = value


def _checked(values: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Recipe:
    try:
        return Recipe.model_validate(dict(values))
    except ValidationError as error:
        raise RecipeError(validation_message(error, source, overrides)) from None
