"""Types and validators that the sections of a recipe share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A section of a recipe: immutable, without unknown keys; docstrings of fields are their descriptions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )


def _check_steps(steps: float) -> float:
    if steps >= 1 and steps != int(steps):
        raise ValueError("should be a whole number of steps, or below 1 a share of all steps")
    return steps


def _check_max_steps(steps: int) -> int:
    if steps == -1 or steps > 0:
        return steps
    raise ValueError("should be a number of steps greater than 0, or -1 for epochs")


def _resolve_model_name(name: str) -> str:
    """The absolute path of a local model, so that the run can be used from any folder; other names unchanged."""
    folder = Path(name).expanduser()
    return str(folder.absolute()) if name != "nano" and folder.is_dir() else name


def _as_list(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


def as_module_list(names: Any) -> Any:
    """A single name as a list, except `all-linear`. An empty list is an error: it would adapt nothing."""
    if names == []:
        raise ValueError("should name at least one layer, or be all-linear")
    return names if names == "all-linear" else _as_list(names)


Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Steps = Annotated[float, Field(gt=0), AfterValidator(_check_steps)]
"""A number of optimiser steps, or below 1 a share of all steps, as in TrainingArguments."""
MaxSteps = Annotated[int, AfterValidator(_check_max_steps)]
LocalPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A path that is made absolute, so that it does not depend on the current folder."""
ModelName = Annotated[str, AfterValidator(_resolve_model_name)]
NameList = Annotated[list[str], BeforeValidator(_as_list)]
"""A list of names; a single name is accepted too."""
