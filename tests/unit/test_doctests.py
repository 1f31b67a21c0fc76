"""The examples in docstrings are correct, in the modules that do not import torch."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import tiebreak

SOURCE = Path(tiebreak.__file__).parent
PATHS = [
    *SOURCE.glob("[!_]*.py"),
    *(path for part in ("data", "text", "recipe") for path in (SOURCE / part).rglob("*.py")),
]
MODULES = [
    ".".join(("tiebreak", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(PATHS)
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed
