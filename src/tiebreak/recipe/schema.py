"""The recipe as a whole: its sections, the rules between them, and the list of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, model_validator
from pydantic.fields import FieldInfo

from tiebreak.recipe.fields import Section
from tiebreak.recipe.sections import (
    BaselineSection,
    DataSection,
    LoraSection,
    ModelSection,
    TextSection,
    TrainingSection,
)


class Recipe(Section):
    """All settings of a run."""

    baseline: BaselineSection | None = None
    """A baseline instead of a language model. The sections model, lora, text and training then do not apply."""

    model: ModelSection = ModelSection()
    lora: LoraSection = LoraSection()
    text: TextSection = TextSection()
    data: DataSection = DataSection()
    training: TrainingSection = TrainingSection()
    output: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
    """The run folder; by default runs/ and the name of the recipe."""

    @model_validator(mode="after")
    def _check_baseline(self) -> Recipe:
        if self.baseline is not None:
            is_set = {
                "model": self.model != ModelSection(), "lora": self.lora != LoraSection(),
                "text": self.text != TextSection(), "training": self.training != TrainingSection(),
            }  # fmt: skip
            sections = ", ".join(name for name, value in is_set.items() if value)
            if sections:
                raise ValueError(
                    f"baseline and {sections} (for a language model) cannot be combined: leave one of them out"
                )
        return self

    @model_validator(mode="after")
    def _check_tokens_per_pass(self) -> Recipe:
        texts = 2 if self.model.head == "pointwise" else 1
        tokens = self.training.tokens_per_pass
        if tokens != "auto" and texts * self.text.max_length > tokens:
            twice = "twice " if texts == 2 else ""
            raise ValueError(
                f"{twice}text.max_length ({self.text.max_length}) is more than training.tokens_per_pass ({tokens}): "
                "a whole comparison has to fit into one pass. Lower the one or raise the other"
            )
        return self

    @model_validator(mode="after")
    def _check_head(self) -> Recipe:
        if self.model.head == "pointwise" and self.training.both_orders:
            raise ValueError(
                "training.both_orders goes with model.head=pairwise: rewards are the same in both orders. Leave it out"
            )
        if self.model.head == "pairwise" and self.training.center_rewards_coefficient:
            raise ValueError("training.center_rewards_coefficient goes with model.head=pointwise. Leave it out")
        return self


def recipe_keys() -> dict[str, tuple[Any, str]]:
    """Every dotted key, in order, with its default (None if it has none) and its description."""
    return {
        key: (
            None if field.is_required() else field.get_default(call_default_factory=True),
            " ".join((field.description or "").split()),
        )
        for key, field in _fields().items()
    }


def is_text_key(key: str) -> bool:
    """Whether the value of a key is text or a path, which is not parsed as YAML."""
    return not {str, Path}.isdisjoint(_kinds(key))


def is_list_key(key: str) -> bool:
    """Whether the value of a key may be a list."""
    return not {list, tuple}.isdisjoint(_kinds(key))


def _kinds(key: str) -> set[Any]:
    """The classes that the values of a key may have; those of lists without the class of their items."""
    field = _fields().get(key)
    return set() if field is None else set(_members(field.annotation))


def _members(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    elif get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    else:
        yield get_origin(annotation) or annotation


def _fields() -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = {}
    for name, field in Recipe.model_fields.items():
        section = next((kind for kind in get_args(field.annotation) if kind is not type(None)), field.annotation)
        if isinstance(section, type) and issubclass(section, Section):
            fields |= {f"{name}.{key}": inner for key, inner in section.model_fields.items()}
        else:
            fields[name] = field
    return fields
