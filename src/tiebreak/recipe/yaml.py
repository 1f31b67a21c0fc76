"""The YAML of recipes: a repeated key is an error, 1e-4 is a number and a date is text."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from tiebreak.errors import RecipeError

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_EXPONENT: Final = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+$")


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise RecipeError(
                        f"the key {key.value} on line {line} is already on line {lines[key.value]}. Keep one of them."
                    )
                lines[key.value] = line
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _class in (_Loader, _Dumper):  # YAML 1.1 reads 1e-4 (without a dot) as text; a number is meant
    _class.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("+-0123456789"))


def read_yaml(text: str, source: str) -> Any:
    """The value of a YAML text.

    Args:
        text: in YAML.
        source: the name of the text in error messages.

    Raises:
        RecipeError: the text is not YAML, or repeats a key.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} cannot be read as YAML: {error}") from error


def write_yaml(value: Any) -> str:
    """A value as YAML; `read_yaml` reads it back as an equal value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
