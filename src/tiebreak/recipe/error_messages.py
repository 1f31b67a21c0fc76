"""What is wrong with a recipe, in words: where the mistake was made, which value it is, what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from tiebreak.formatting import pluralize
from tiebreak.recipe.schema import recipe_keys

_OTHER_NAMES: Final = {
    "lr": "training.learning_rate",
    "epochs": "training.num_train_epochs",
    "num_epochs": "training.num_train_epochs",
    "per_device_train_batch_size": "training.batch_size",
    "fp16": "model.compute_dtype",
    "bf16": "model.compute_dtype",
    "load_in_4bit": "model.precision",
    "load_in_8bit": "model.precision",
    "model_name_or_path": "model.name",
    "output_dir": "output",
}
"""What people call some keys, from elsewhere."""


def validation_message(error: ValidationError, source: str, overrides: Sequence[str]) -> str:
    """All that pydantic found, a line each, under the override or the `source` that is to blame for it."""
    found: dict[str, list[str]] = {}
    for detail in error.errors():
        found.setdefault(_blamed(dict(detail), source, overrides), []).append(f"  {_explained(dict(detail))}")
    lines = []
    for blamed, explained in found.items():
        lines += [f"{blamed}: {pluralize(len(explained), 'thing')} to mend.", *explained]
    return "\n".join(lines)


def _blamed(detail: Mapping[str, Any], source: str, overrides: Sequence[str]) -> str:
    """Where a mistake was made: in an override, or in the recipe, perhaps by what overrides made of it."""
    wrong = ".".join(str(part) for part in detail["loc"])
    keys = {override.partition("=")[0]: override for override in overrides}
    for key, override in keys.items():
        if wrong == key or wrong.startswith(f"{key}."):
            return f"The override {override}"
    inside = [  # two keys that do not go together are told of the section that holds them
        override
        for key, override in keys.items()
        if key.startswith(f"{wrong}." if wrong else "") and re.search(rf"\b{key.rpartition('.')[2]}\b", detail["msg"])
    ]
    return f"{source} with {' '.join(inside)}" if inside and detail["type"] == "value_error" else source


def _explained(detail: Mapping[str, Any]) -> str:
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        return f"{key}: there is no such key.{nearest(key, recipe_keys(), 'The keys are')}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    value = detail.get("input")
    shown = "" if isinstance(value, (dict, BaseModel)) else f" (it is {value!r})"
    return f"{key}: {message}{shown}." if key else f"{message}."


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """` Did you mean x?`, or the list of what there is.

    A key may be misspelt, or stand in the wrong section: whole names are compared first, then last parts.
    """
    names = list(known)
    by_last = {candidate.rpartition(".")[2]: candidate for candidate in reversed(names)}
    sections = {candidate.partition(".")[0]: candidate for candidate in names}
    last = name.rpartition(".")[2]
    if last in _OTHER_NAMES and _OTHER_NAMES[last] in names:
        return f" Did you mean {_OTHER_NAMES[last]}?"
    close = difflib.get_close_matches(name, [*names, *(sections if "." not in name else ())], n=1, cutoff=0.75)
    if last in by_last:
        close = [by_last[last]]
    close = close or [by_last[x] for x in difflib.get_close_matches(last, list(by_last), n=1, cutoff=0.6)]
    if close:
        return f" Did you mean {close[0]}?"
    siblings = [n for n in names if n.rpartition(".")[0] == name.rpartition(".")[0]] or names
    return f" {otherwise}: {', '.join(siblings)}."
