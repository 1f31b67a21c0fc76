"""What the README says of the repository is so."""

from __future__ import annotations

import re
from pathlib import Path

from tiebreak.recipe import shipped_recipes

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tree_names_every_module_and_no_other() -> None:
    tree = README.partition("src/tiebreak/\n")[2].partition("```")[0]
    named = set(re.findall(r"[a-z_0-9]+\.py", tree))
    there = {p.name for p in (ROOT / "src/tiebreak").rglob("*.py")} - {"__init__.py", "__main__.py"}
    assert named == there


def test_every_file_it_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_recipe_it_names_is_shipped() -> None:
    named = set(re.findall(r"recipes/([\w-]+)\.yaml", README))
    assert named
    assert named <= set(shipped_recipes())
