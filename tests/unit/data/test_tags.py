"""Tags are read, swapped with the sides, and written back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiebreak.data import from_frame, read_votes, write_comparisons
from tiebreak.types import A_WINS, Comparison

from .votefiles import lmsys_row, write_csv, write_jsonl, write_parquet

TAGGED = {"source": "arena", "model_a": "gpt", "model_b": "vicuna", "language": "English"}
TAGS = (("language", "English"), ("model_a", "gpt"), ("model_b", "vicuna"), ("source", "arena"))


def test_every_format_gives_the_same_tags_in_the_order_of_their_names(tmp_path: Path) -> None:
    rows = [lmsys_row(id="1", **TAGGED), lmsys_row(id="2", **TAGGED), lmsys_row(id="3", **TAGGED | {"source": ""})]
    files = [
        read_votes(write_csv(tmp_path / "v.csv", rows, list(rows[0])), votes="required"),
        read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required"),
        read_votes(write_parquet(tmp_path / "v.parquet", rows), votes="required"),
    ]
    for file in files:
        assert [c.tags for c in file.comparisons] == [TAGS, TAGS, TAGS[:-1]]
        assert file.comparisons[0].tags is file.comparisons[1].tags  # equal tags are one object
    assert from_frame(pd.DataFrame(rows)) == files[0].comparisons


@pytest.mark.parametrize(
    ("cell", "value"),
    [(None, None), ("  ", None), (7, "7"), (2.0, "2"), (float("nan"), None), (["x"], None), (" a\ud800 ", "a\ufffd")],
)
def test_a_tag_is_a_text_or_a_number_and_never_a_problem(cell: Any, value: str | None, tmp_path: Path) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [lmsys_row(source=cell)]), votes="required")
    assert dict(file.comparisons[0].tags).get("source") == value
    assert not file.problems


def test_chosen_and_rejected_have_no_model_tags(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "chosen": "yes", "rejected": "no", **TAGGED} for i in range(6)]
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required")
    assert {c.tags for c in file.comparisons} == {(TAGS[0], TAGS[3])}


@given(st.dictionaries(st.sampled_from(["language", "model_a", "model_b", "source"]), st.text(min_size=1, max_size=3)))
def test_a_swap_exchanges_the_models_and_nothing_else(named: dict[str, str]) -> None:
    comparison = Comparison(("p",), ("a",), ("b",), A_WINS, tags=tuple(sorted(named.items())))
    swapped = dict(comparison.swap().tags)
    assert swapped.get("model_a") == named.get("model_b")
    assert swapped.get("model_b") == named.get("model_a")
    assert {n: swapped.get(n) for n in ("language", "source")} == {n: named.get(n) for n in ("language", "source")}
    assert comparison.swap().swap() == comparison
    assert comparison.map_texts(str.upper).close_with("q", "c", "d").tags == comparison.tags


def test_tags_are_written_back(tmp_path: Path) -> None:
    votes = [
        Comparison(("p",), ("a",), ("b",), A_WINS, id="1", tags=TAGS),
        Comparison(("p",), ("a",), ("b",), A_WINS, id="2", tags=(("source", "x"),), margin=0.5),
        Comparison(("p",), ("a",), ("b",), A_WINS, id="3"),
    ]
    write_comparisons(tmp_path / "v.csv", votes)
    assert list(read_votes(tmp_path / "v.csv", votes="required").comparisons) == votes
    write_comparisons(tmp_path / "w.csv", votes[2:])
    assert "source" not in (tmp_path / "w.csv").read_text()
