"""Error messages for invalid recipes: where the mistake is, the value, and the key that was probably meant."""

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
"""Names of keys in other libraries."""


def validation_message(error: ValidationError, source: str, overrides: Sequence[str]) -> str:
    """All errors that pydantic found, one per line, grouped by the override or the `source` that contains them."""
    by_location: dict[str, list[str]] = {}
    for detail in error.errors():
        location = _location(dict(detail), source, overrides)
        by_location.setdefault(location, []).append(f"  {_description(dict(detail))}")
    lines = []
    for location, descriptions in by_location.items():
        lines += [f"{pluralize(len(descriptions), 'error')} in {location}:", *descriptions]
    return "\n".join(lines)


def _location(detail: Mapping[str, Any], source: str, overrides: Sequence[str]) -> str:
    """An override, or the recipe, with the overrides that are part of the error."""
    wrong = ".".join(str(part) for part in detail["loc"])
    by_key = {override.partition("=")[0]: override for override in overrides}
    for key, override in by_key.items():
        misspelt_section = detail["type"] == "extra_forbidden" and key.startswith(f"{wrong}.")
        if wrong == key or wrong.startswith(f"{key}.") or misspelt_section:
            return f"the override {override}"
    involved = [  # two keys that cannot be combined are reported for the section that contains them
        override
        for key, override in by_key.items()
        if key.startswith(f"{wrong}." if wrong else "") and re.search(rf"\b{key.rpartition('.')[2]}\b", detail["msg"])
    ]
    return f"{source} with {' '.join(involved)}" if involved and detail["type"] == "value_error" else source


def _description(detail: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key}: there is no such key.{suggestion(key, recipe_keys(), 'The keys are')}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    value = detail.get("input")
    value_note = "" if isinstance(value, (dict, BaseModel)) else f" (it is {value!r})"
    return f"{key}: {message}{value_note}." if key else f"{message}."


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """` Did you mean x?`, or the list of known names after the text `otherwise`.

    A key may be misspelt or in the wrong section, so whole names are compared first, then their last parts.
    """
    names = list(known)
    by_last_part = {candidate.rpartition(".")[2]: candidate for candidate in reversed(names)}
    sections = {candidate.partition(".")[0]: candidate for candidate in names}
    last_part = name.rpartition(".")[2]
    if last_part in _OTHER_NAMES and _OTHER_NAMES[last_part] in names:
        return f" Did you mean {_OTHER_NAMES[last_part]}?"
    close = difflib.get_close_matches(name, [*names, *(sections if "." not in name else ())], n=1, cutoff=0.75)
    if last_part in by_last_part:
        close = [by_last_part[last_part]]
    if not close:
        matches = difflib.get_close_matches(last_part, list(by_last_part), n=1, cutoff=0.6)
        close = [by_last_part[match] for match in matches]
    if close:
        return f" Did you mean {close[0]}?"
    same_section = [known for known in names if known.rpartition(".")[0] == name.rpartition(".")[0]]
    return f" {otherwise}: {', '.join(same_section or names)}."
