"""Sizes of files and functions, and a docstring for every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tiebreak"
FILE_LINES = 350
FUNCTION_LINES = 60


def _modules() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_file_is_too_long() -> None:
    lengths = {path: len(text.splitlines()) for path, text in _modules()}
    assert {path: length for path, length in lengths.items() if length > FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    too_long = {}
    for path, text in _modules():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.end_lineno is None:
                continue
            if "/cli/" in path and node.name == "command":  # a command's length is its list of options
                continue
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES:
                too_long[f"{path}:{node.lineno} {node.name}"] = length
    assert too_long == {}


def test_every_module_has_a_docstring_that_starts_with_a_summary() -> None:
    without = []
    for path, text in _modules():
        if not text.strip():
            continue  # an empty __init__.py
        summary = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
        if not summary or summary.count("\n") > 1:
            without.append(path)
    assert without == []
