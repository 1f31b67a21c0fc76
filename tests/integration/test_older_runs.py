"""Runs made by Tiebreak 0.1 (commit 3edfe85) judge as they did then, to the last digits that rounding leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tiebreak import load_judge

RUNS = Path(__file__).parents[1] / "fixtures" / "runs_0_1"
ASKED = [
    ("1 + 1 = ?", "2", "3"),
    ("7 + 5 = ?", "The answer is 12.", "12"),
    ("3 + 4 = ?", "I think it is 9.", "7"),
]
EXPECTED: dict[str, list[list[float]]] = json.loads((RUNS / "expected.json").read_text())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_run_of_version_0_1_judges_as_it_did(name: str, tmp_path: Path) -> None:
    shutil.copytree(RUNS, tmp_path / "runs")
    judge = load_judge(tmp_path / "runs" / name)
    verdicts = [judge.compare(*asked, swap=swap) for swap in ("none", "average") for asked in ASKED]
    for verdict, expected in zip(verdicts, EXPECTED[name], strict=True):
        assert verdict.probabilities == pytest.approx(tuple(expected), abs=1e-4)
