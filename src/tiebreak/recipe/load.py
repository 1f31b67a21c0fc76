"""Load a recipe from its file, with overrides, and write it as YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tiebreak.errors import RecipeError
from tiebreak.recipe.error_messages import suggestion, validation_message
from tiebreak.recipe.schema import Recipe, is_list_key, is_text_key
from tiebreak.recipe.yaml import read_yaml, write_yaml


def shipped_recipes() -> dict[str, Path]:
    """The files of the recipes that come with Tiebreak, by name."""
    installed = Path(__file__).parents[1] / "recipes"
    folder = installed if installed.is_dir() else Path(__file__).parents[3] / "recipes"  # in a checkout
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, apply `key.key=value` overrides, and check every key and value.

    Args:
        path: the file, or the name of a shipped recipe.
        overrides: their values are parsed as YAML, except those of keys that hold text or a path, which are taken
            literally, as are the items of a list of paths.

    Raises:
        RecipeError: there is no such file, it is not YAML, or it has unknown keys or invalid values, which the message
            lists all.
    """
    file = _find_recipe(Path(path))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} cannot be read as YAML: {error}") from error
    values = read_yaml(text, str(file))
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError(f"{file} holds a {type(values).__name__}: a recipe is a mapping of sections.")
    for override in overrides:
        _apply_override(values, override)
    if file.name == "recipe.yaml" and (file.parent / "environment.json").exists():
        values["output"] = str(file.parent)  # the recipe of a run, whose folder may have been moved
    values.setdefault("output", f"runs/{file.stem}")
    return _validate(values, str(file), overrides)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with all values; `load_recipe` reads it back as an equal recipe."""
    return write_yaml(recipe.model_dump(mode="json"))


def _find_recipe(path: Path) -> Path:
    """The file at the path, or the shipped recipe of that name."""
    shipped = shipped_recipes()
    if not path.is_file():
        # `recipes/seed.yaml` is found from any folder, like `seed`.
        if path.stem in shipped and str(path.parent) in (".", "recipes"):
            return shipped[path.stem]
        if (path / "recipe.yaml").is_file():
            raise RecipeError(
                f"{path} is a run folder, not a recipe. To continue the run: tiebreak train {path / 'recipe.yaml'} "
                "--resume."
            )
        if path.is_dir():
            raise RecipeError(
                f"{path} is a folder, not a recipe (a YAML file). To train the model in it: "
                f"tiebreak train RECIPE model.name={path} data.train=VOTES."
            )
        raise RecipeError(f"Recipe {path} does not exist.{suggestion(path.stem, shipped, 'Tiebreak comes with')}")
    if path.suffix.lower() in (".csv", ".jsonl", ".parquet", ".gz"):
        raise RecipeError(
            f"{path} is a data file, not a recipe. To train on it: tiebreak train RECIPE data.train={path}."
        )
    return path


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not re.fullmatch(r"[a-z_]+(\.[a-zA-Z_]\w*)*", key):
        raise RecipeError(
            f"{override!r} is not an override: write key=value, for instance training.learning_rate=1e-4."
        )
    is_quoted = text[:1] in ("'", '"')
    is_literal = is_text_key(key) and not is_quoted and text not in ("", "null")
    value: Any = text
    if is_literal and is_list_key(key) and text[:1] + text[-1:] in ("[]", "{}") and not _exists(text):
        value = _list_of_texts(text, override)
    elif not is_literal:
        value = read_yaml(text, f"The value of {override!r}")
    *sections, last = key.split(".")
    target = values
    for depth, section in enumerate(sections):
        inner = target.setdefault(section, {})
        if inner is None:
            inner = target[section] = {}
        if not isinstance(inner, dict):
            raise RecipeError(f"{override!r}: {'.'.join(sections[: depth + 1])} is not a section, but {inner!r}.")
        target = inner
    target[last] = value


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long for a path, as a list may be
        return False


def _list_of_texts(text: str, override: str) -> Any:
    """The items of a list in brackets: texts are literal, unless one is quoted or a mapping. A mapping is YAML."""
    if any(character in text for character in "'\"{"):
        return read_yaml(text, f"The value of {override!r}")
    return [item.strip() for item in text[1:-1].split(",")] if text[1:-1].strip() else []


def _validate(values: Mapping[str, Any], source: str, overrides: Sequence[str]) -> Recipe:
    try:
        return Recipe.model_validate(dict(values))
    except ValidationError as error:
        raise RecipeError(validation_message(error, source, overrides)) from None
