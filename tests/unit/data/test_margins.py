"""Margins are read, checked, written and counted."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiebreak.data import Layout, from_frame, read_votes, summarise, write_comparisons
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison

from .votefiles import LMSYS, lmsys_row, write_csv, write_jsonl, write_parquet

TEXTS = {"id": "7", "prompt": "p", "response_a": "a", "response_b": "b"}
ROWS: dict[Layout, dict[str, Any]] = {
    "lmsys": {**TEXTS, "winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0},
    "soft": {**TEXTS, "winner_model_a": 0.25, "winner_model_b": 0.5, "winner_tie": 0.25},
    "winner": {**TEXTS, "winner": "model_b"},
    "chosen-rejected": {"id": "7", "prompt": "p", "chosen": "a", "rejected": "b"},
}


@pytest.mark.parametrize("layout", ROWS)
def test_every_layout_with_votes_has_margins_in_every_format(tmp_path: Path, layout: Layout) -> None:
    rows = [{**ROWS[layout], "id": str(number), "margin": margin} for number, margin in enumerate((1.5, None, 3.0))]
    for path in (
        write_csv(tmp_path / "v.csv", rows, list(rows[0])),
        write_jsonl(tmp_path / "v.jsonl", rows),
        write_parquet(tmp_path / "v.parquet", rows),
    ):
        file = read_votes(path, votes="required")
        assert (file.layout, file.problems) == (layout, ())
        assert [c.margin for c in file.comparisons] == [1.5, 0.0, 3.0]
        assert summarise(file).margins == 2
        assert summarise(file).to_dict()["margins"] == 2


@pytest.mark.parametrize(
    ("cell", "margin"), [("2", 2.0), (" .5 ", 0.5), (3, 3.0), (0, 0.0), ("", 0.0), ("  ", 0.0), (float("nan"), 0.0)]
)
def test_margins_are_numbers_or_texts_or_empty(tmp_path: Path, cell: object, margin: float) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [lmsys_row(margin=cell)]), votes="required")
    assert ([c.margin for c in file.comparisons], file.problems) == ([margin], ())


@pytest.mark.parametrize("layout", ROWS)
@pytest.mark.parametrize("cell", [-1, "-0.5", "nan", "inf", float("inf"), 10**400, "much", True, "true", [1]])
def test_an_invalid_margin_makes_only_its_row_unreadable(tmp_path: Path, layout: Layout, cell: object) -> None:
    rows = [{**ROWS[layout], "margin": cell}, {**ROWS[layout], "id": "8"}]
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required")
    (problem,) = file.problems
    assert (problem.line, problem.column, problem.kind, problem.severity) == (1, "margin", "not_a_margin", "unreadable")
    assert problem.message.endswith(": expected a finite number of at least 0, or an empty cell")
    assert [c.id for c in file.comparisons] == ["8"]


def test_an_invalid_margin_is_reported_with_other_problems_of_the_row(tmp_path: Path) -> None:
    rows = [{**ROWS["winner"], "winner": "who", "margin": "-3"}, {**ROWS["chosen-rejected"], "prompt": None}]
    rows[1] |= {"margin": "x"}
    problems = [
        str(problem)
        for number, row in enumerate(rows)
        for problem in read_votes(write_jsonl(tmp_path / f"{number}.jsonl", [row]), votes="required").problems
    ]
    assert problems == [
        "line 1, id 7, winner: is 'who': expected model_a, model_b or tie; A and B; 1 and 2; left and right",
        "line 1, id 7, margin: is '-3': expected a finite number of at least 0, or an empty cell",
        "line 1, id 7, chosen: is a reply alone, and there is no prompt",
        "line 1, id 7, rejected: is a reply alone, and there is no prompt",
        "line 1, id 7, margin: is 'x': expected a finite number of at least 0, or an empty cell",
    ]


@pytest.mark.parametrize(("vote", "prefers"), [((0, 0, 1), False), ((0.4, 0.4, 0.2), False), ((0.1, 0.3, 0.6), True)])
def test_a_vote_that_prefers_neither_answer_has_no_margin(
    tmp_path: Path, vote: tuple[float, float, float], prefers: bool
) -> None:
    row = lmsys_row(**dict(zip(LMSYS[4:], vote, strict=True)))
    file = read_votes(
        write_jsonl(tmp_path / "v.jsonl", [{**row, "margin": 2}, {**row, "id": "8", "margin": 0}]), votes="required"
    )
    assert [c.margin for c in file.comparisons] == ([2.0, 0.0] if prefers else [0.0])
    message = (
        "line 1, id 7, margin: is 2, but the vote is a tie, in which no answer is better: give 0, or an empty cell"
    )
    assert list(map(str, file.problems)) == ([] if prefers else [message])
    assert [p.kind for p in file.problems] == ([] if prefers else ["margin_of_tie"])


def test_margins_without_votes_are_ignored(tmp_path: Path) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [{**TEXTS, "margin": "much"}]), votes="optional")
    assert (file.layout, file.problems, file.comparisons[0].margin) == ("unlabelled", (), 0.0)
    rows = [ROWS["winner"], {**ROWS["winner"], "id": "8", "winner": None, "margin": 2}]
    partly = read_votes(write_jsonl(tmp_path / "partly.jsonl", rows), votes="optional")
    assert [(c.vote, c.margin) for c in partly.comparisons] == [(B_WINS, 0.0), (None, 0.0)]


def test_a_repeated_column_of_margins_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("prompt,response_a,response_b,winner,margin,margin\np,a,b,model_a,1,2\n")
    with pytest.raises(DataError, match="has 2 columns named 'margin'"):
        read_votes(path, votes="required")


def test_a_frame_has_margins() -> None:
    frame = pd.DataFrame([ROWS["winner"]] * 3, index=[9, 9, 4]).drop(columns="id")
    assert [c.margin for c in from_frame(frame.assign(margin=[1, 0, 2]))] == [1.0, 0.0, 2.0]
    assert [c.margin for c in from_frame(frame.assign(margin=[1.5, np.nan, 2]))] == [1.5, 0.0, 2.0]
    assert [c.margin for c in from_frame(frame.assign(margin=["0.1", pd.NA, ""]))] == [0.1, 0.0, 0.0]
    assert [c.margin for c in from_frame(frame.assign(margin=pd.array([1, None, 2], dtype="Int64")))] == [1, 0, 2]
    with pytest.raises(DataError, match="row 2, margin: is -1"):
        from_frame(frame.assign(margin=[1, 1, -1]))


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    """A comparison with a vote, and a margin if the vote prefers an answer."""
    turns = draw(st.integers(1, 2))
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
    prompt, a, b = (draw(st.tuples(*[text] * turns)) for _ in range(3))
    vote = draw(st.sampled_from([A_WINS, B_WINS, TIE, (0.25, 0.5, 0.25), (0.25, 0.25, 0.5)]))
    margin = draw(st.floats(0, allow_infinity=False)) if vote[0] != vote[1] else 0.0
    return Comparison(prompt, a, b, vote, margin=margin)


@settings(max_examples=40, deadline=None)
@given(st.lists(comparisons(), min_size=1, max_size=3))
def test_written_comparisons_are_read_back_equal(drawn: list[Comparison]) -> None:
    numbered = [Comparison(c.prompt, c.answer_a, c.answer_b, c.vote, str(i), c.margin) for i, c in enumerate(drawn)]
    with TemporaryDirectory() as folder:
        path = Path(folder, "v.csv")
        write_comparisons(path, numbered)
        header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
        assert list(read_votes(path, votes="required").comparisons) == numbered
    assert header == [*LMSYS, *(["margin"] if any(c.margin for c in drawn) else [])]


def test_an_invalid_margin_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="comparison 7 has a margin, but its vote prefers neither answer"):
        write_comparisons(tmp_path / "v.csv", [Comparison(("p",), ("a",), ("b",), TIE, "7", 1.0)])
    assert not (tmp_path / "v.csv").exists()


def test_comparisons_without_votes_are_written_without_columns_of_votes(tmp_path: Path) -> None:
    rows = (Comparison(("p",), ("a",), ("b",), id="7"),)
    write_comparisons(tmp_path / "v.csv", rows)
    file = read_votes(tmp_path / "v.csv", votes="optional")
    assert (file.layout, file.comparisons) == ("unlabelled", rows)
