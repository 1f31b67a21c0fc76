"""A missing optional package gives an error with the command that installs it."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tiebreak import TiebreakError, extras

ROOT = Path(__file__).parents[2]


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def without_torch(name: str, package: str | None = None) -> Any:
        return None if name == "torch" else find_spec(name, package)

    monkeypatch.setattr(extras, "find_spec", without_torch)
    with pytest.raises(TiebreakError) as error:
        extras.require_extra("train", "training a language model")
    assert str(error.value) == (
        "Training a language model needs torch, which is not installed. Install with: pip install 'tiebreak[train]'"
    )
    extras.require_extra("serve", "serving a judge")


def test_the_packages_are_those_of_the_project_file() -> None:
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, packages in extras._PACKAGES.items():
        declared = " ".join(optional[extra])
        for package in packages:
            assert package.replace("_", "-") in declared, (extra, package)


def test_data_sets_of_the_hub_come_with_the_train_extra() -> None:
    """Training does without it, so `require_extra` does not ask for it."""
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(requirement.startswith("datasets>=") for requirement in optional["train"])
