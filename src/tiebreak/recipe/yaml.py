"""YAML as recipes are written in it: no key twice, 1e-4 is a number, a date is a text."""

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
                        f"the key {key.value} on line {line} was given before, on line {lines[key.value]}. "
                        "Keep one of the two."
                    )
                lines[key.value] = line
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _class in (_Loader, _Dumper):  # YAML 1.1 takes 1e-4 (without a dot) for a text; people mean the number
    _class.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("+-0123456789"))


def read_yaml(text: str, source: str) -> Any:
    """The value that a text in YAML stands for.

    Args:
        text: the YAML.
        source: what messages call it.

    Raises:
        RecipeError: it is not YAML, or a key is given twice.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} cannot be read as YAML: {error}") from error


def write_yaml(value: Any) -> str:
    """A value as YAML; `read_yaml` reads it back equal."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
