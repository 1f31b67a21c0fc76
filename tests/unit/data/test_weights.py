"""Weights are read, checked, written and counted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tiebreak.cli import app
from tiebreak.data import Layout, from_frame, read_votes, summarise, write_comparisons
from tiebreak.types import A_WINS, TIE, Comparison

from .test_margins import ROWS, TEXTS
from .votefiles import write_csv, write_jsonl, write_parquet


@pytest.mark.parametrize("layout", ROWS)
def test_every_layout_with_votes_has_weights_in_every_format(tmp_path: Path, layout: Layout) -> None:
    rows = [{**ROWS[layout], "id": str(number), "weight": w} for number, w in enumerate((2.5, None, 0.0))]
    for path in (
        write_csv(tmp_path / "v.csv", rows, list(rows[0])),
        write_jsonl(tmp_path / "v.jsonl", rows),
        write_parquet(tmp_path / "v.parquet", rows),
    ):
        file = read_votes(path, votes="required")
        assert (file.layout, file.problems, file.unread_columns) == (layout, (), ())
        assert [c.weight for c in file.comparisons] == [2.5, 1.0, 0.0]
    assert [c.weight for c in from_frame(pd.DataFrame(rows))] == [2.5, 1.0, 0.0]


@pytest.mark.parametrize("layout", ROWS)
def test_a_weight_changes_nothing_else_of_a_row(tmp_path: Path, layout: Layout) -> None:
    plain, weighted = (
        read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required").comparisons[0]
        for row in (ROWS[layout], {**ROWS[layout], "weight": 3})
    )
    assert (plain.weight, weighted.weight) == (1.0, 3.0)
    assert (weighted.vote, weighted.answer_a, weighted.id) == (plain.vote, plain.answer_a, plain.id)


@pytest.mark.parametrize("layout", ROWS)
@pytest.mark.parametrize("cell", [-1, "-0.5", "nan", "inf", 10**400, "much", True, [1]])
def test_an_invalid_weight_makes_only_its_row_unreadable(tmp_path: Path, layout: Layout, cell: object) -> None:
    rows = [{**ROWS[layout], "weight": cell}, {**ROWS[layout], "id": "8"}]
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required")
    (problem,) = file.problems
    assert (problem.line, problem.column, problem.kind, problem.severity) == (1, "weight", "not_a_weight", "unreadable")
    assert problem.message.endswith(": expected a finite number of at least 0, or an empty cell")
    assert [c.id for c in file.comparisons] == ["8"]


def test_a_file_without_votes_does_not_use_weights(tmp_path: Path) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [{**TEXTS, "weight": "80 kg"}]), votes="optional")
    assert (file.layout, file.problems, file.comparisons[0].weight) == ("unlabelled", (), 1.0)
    assert [column.name for column in file.unread_columns] == ["weight"]


def test_written_weights_are_read_back(tmp_path: Path) -> None:
    rows = [
        Comparison(("p",), ("a",), ("b",), A_WINS, "1", 0.5, weight=0.1),
        Comparison(("p",), ("a",), ("c",), TIE, "2", weight=0.0),
        Comparison(("q",), ("a",), ("c",), TIE, "3"),
    ]
    write_comparisons(tmp_path / "v.csv", rows)
    assert list(read_votes(tmp_path / "v.csv", votes="required").comparisons) == rows
    write_comparisons(tmp_path / "plain.csv", rows[2:])
    assert "weight" not in (tmp_path / "plain.csv").read_text()


def test_check_shows_weights(tmp_path: Path) -> None:
    rows = [{**ROWS["winner"], "id": str(n), "weight": w} for n, w in enumerate((1, 2, 3, 0))]
    path = write_jsonl(tmp_path / "v.jsonl", rows)
    weights = json.loads(CliRunner().invoke(app, ["check", str(path), "--json"]).stdout)["weights"]
    assert weights == {"rows": 3, "zero_rows": 1, "sum": 6.0, "effective_rows": pytest.approx(36 / 14)}
    shown = " ".join(CliRunner().invoke(app, ["check", str(path)]).stdout.split())
    assert (
        "With another weight than 1: 3 rows, 1 of them 0. The weights sum to 6, and the rows count as 2.6 rows of "
        "equal weight." in shown
    )
    plain = read_votes(write_jsonl(tmp_path / "p.jsonl", [{**row, "weight": 1} for row in rows]), votes="required")
    assert summarise(plain).weights is None
    assert all(math.isclose(row.weight, 1) for row in plain.comparisons)
