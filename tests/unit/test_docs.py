"""The documentation names what exists: links, recipes, commands, recipe keys, modules."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.main import get_command

import tiebreak
from tiebreak.cli import app
from tiebreak.recipe import recipe_keys, shipped_recipes

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if not {"_build", "generated"} & set(page.relative_to(ROOT).parts)]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
WRITTEN = {name: text for name, text in TEXTS.items() if name != "CHANGELOG.md"}
COMMANDS: dict[str, Any] = dict(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """`docs/generate.py`, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 8 * 1024


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_files(page: str) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", TEXTS[page]):
        if not link.startswith(("http:", "https:")) and "generated/" not in link:
            assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


def test_generated_pages_that_are_linked_are_generated(generate: ModuleType, tmp_path: Path) -> None:
    generate.write_pages(tmp_path / "generated")
    linked = {name for text in TEXTS.values() for name in re.findall(r"generated/([\w-]+)", text)}
    assert linked == {page.stem for page in (tmp_path / "generated").iterdir()}


def test_recipes_that_are_named_are_shipped() -> None:
    named = {name for text in WRITTEN.values() for name in re.findall(r"recipes/([\w-]+)\.yaml", text)}
    named |= {name for text in WRITTEN.values() for name in re.findall(r"tiebreak (?:train|plan) ([\w-]+) ", text)}
    assert named
    assert named <= set(shipped_recipes())


def test_commands_and_options_that_are_named_exist() -> None:
    for page, text in WRITTEN.items():
        for command, rest in re.findall(r"^!?(?:\w+=\S+ )*tiebreak ([a-z]+)\b(.*)$", text, re.MULTILINE):
            assert command in COMMANDS, f"{page}: tiebreak {command}"
            options = {option for parameter in COMMANDS[command].params for option in parameter.opts}
            arguments = rest.split("&&")[0].split("#")[0]
            for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", arguments):
                assert option in options, f"{page}: tiebreak {command} {option}"


def test_recipe_keys_that_are_named_exist() -> None:
    keys = set(recipe_keys())
    sections = {key.partition(".")[0] for key in keys if "." in key}
    pattern = re.compile(rf"(?<![\w./])(?:{'|'.join(sorted(sections))})\.([a-z_]+)(?:=|`)")
    for page, text in WRITTEN.items():
        for found in pattern.finditer(text):
            if found[1] == "json":  # a file's name
                continue
            assert found[0].rstrip("=`") in keys, f"{page}: {found[0]}"


def test_every_file_of_the_repository_that_is_named_exists() -> None:
    pattern = re.compile(r"`((?:perf|tests|examples|experiments|src|recipes|docs)/[\w./*-]+)`")
    for page, text in WRITTEN.items():
        for name in pattern.findall(text):
            if not name.startswith("docs/_build"):
                assert list(ROOT.glob(name.rstrip("/"))), f"{page}: {name}"


def test_the_tree_of_modules_is_complete_and_described(generate: ModuleType) -> None:
    named = dict(generate.module_summaries())
    paths = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/tiebreak").rglob("*.py")}
    assert set(named) == paths
    empty = {path for path in paths if not (ROOT / "src" / path).read_text(encoding="utf-8").strip()}
    assert {path for path, summary in named.items() if not summary} <= empty
    page = generate.modules()
    assert all(f"`{path}`" in page for path in paths)


def test_the_reference_is_complete(generate: ModuleType) -> None:
    commands, keys, python = generate.commands(), generate.recipe_keys(), generate.python_api()
    for name, command in COMMANDS.items():
        assert f"## tiebreak {name}\n" in commands
        for parameter in command.params:
            assert all(f"`{option}`" in commands for option in parameter.opts if option.startswith("-"))
    for key, (default, _) in recipe_keys().items():
        [row] = [line for line in keys.split("\n") if line.startswith(f"| `{key}` |")]
        assert "| required |" in row or f"| `{json.dumps(default, default=str)}` |" in row, row
    assert all(f":: tiebreak.{name}\n" in python for name in tiebreak.__all__)
    document = generate.openapi_document()
    assert {"/v1/compare", "/v1/score", "/v1/rank", "/get_reward", "/rerank"} <= set(document["paths"])
    http = generate.http_api()
    assert all(f" {path}\n" in http for path in document["paths"])


def test_examples_in_yaml_and_python_parse() -> None:
    for page, text in WRITTEN.items():
        for language, block in re.findall(r"```(python|yaml)\n(.*?)```", text, re.DOTALL):
            if language == "yaml":
                yaml.safe_load(block)
            else:
                compile(block, page, "exec")


def _layout_examples() -> list[tuple[str, str, str]]:
    """Title, text and example of each section of the page on layouts that has an example."""
    page = TEXTS["docs/how-to/layouts.md"]
    sections = [section.partition("\n") for section in page.split("\n## ")[1:]]
    found = [(title, text, re.search(r"```json\n(.*?)```", text, re.DOTALL)) for title, _, text in sections]
    return [(title, text, match.group(1)) for title, text, match in found if match]


@pytest.mark.parametrize(("title", "text", "example"), _layout_examples())
def test_examples_of_layouts_are_read_as_the_page_says(tmp_path: Path, title: str, text: str, example: str) -> None:
    from tiebreak.data import read_votes

    assert len(example.splitlines()) == 3
    for line in example.splitlines():
        (tmp_path / "votes.jsonl").write_text(line, encoding="utf-8")
        file = read_votes(tmp_path / "votes.jsonl", votes="required")
        assert [problem for problem in file.problems if problem.severity != "note"] == []
        assert file.layout_name.removeprefix("chosen-rejected") in text, title


def test_every_layout_is_on_the_page() -> None:
    from tiebreak.data.converters import CONVERTERS

    page = TEXTS["docs/how-to/layouts.md"]
    assert [c.name for c in CONVERTERS if c.name.removeprefix("chosen-rejected") not in page] == []
