"""A system message is part of the first prompt turn, and known as such."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiebreak.data import load_votes, read_votes, write_comparisons
from tiebreak.runs import RunFolder, read_validation_rows, write_validation_rows
from tiebreak.types import Comparison, Conversation

SYSTEM = {"role": "system", "content": "Be kind."}
CHAT = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize("place", ["conversations", "prompt", "nowhere"])
def test_it_is_read_from_messages(place: str, tmp_path: Path) -> None:
    lead = [SYSTEM] if place == "conversations" else []
    row: dict[str, object] = {"chosen": [*lead, *CHAT], "rejected": [*lead, CHAT[0], {**CHAT[1], "content": "b"}]}
    if place == "prompt":
        row = {"prompt": [SYSTEM, CHAT[0]], "chosen": CHAT[1:], "rejected": [{**CHAT[1], "content": "b"}]}
    (tmp_path / "votes.jsonl").write_text(json.dumps(row))
    [comparison] = load_votes(
        tmp_path / "votes.jsonl", votes="required", problem_rows="refuse", setting=None
    ).comparisons
    assert comparison.system == ("" if place == "nowhere" else "Be kind.")
    assert comparison.prompt == (("p",) if place == "nowhere" else ("Be kind.\n\np",))
    assert comparison.user_turns == ("p",)
    assert [side.system for side in comparison.conversations] == [comparison.system] * 2


def test_it_goes_through_changes_of_a_comparison() -> None:
    row = Comparison(("S\n\np", "q"), ("a", "b"), ("c", "d"), (1.0, 0.0, 0.0), system="S")
    assert row.swap().system == "S"
    lower = row.map_texts(str.lower)
    assert (lower.system, lower.prompt) == ("s", ("s\n\np", "q"))
    assert row.close_with("x", "y", "z").system == "S"
    assert row.without_system() == Comparison(("p", "q"), ("a", "b"), ("c", "d"), (1.0, 0.0, 0.0))
    side = Conversation(("S\n\np",), ("a",), "S")
    assert side.close_with("S\n\nx", "y").user_turns == ("x",)
    assert side.close_with("cut", "y") == Conversation(("cut",), ("y",))
    with pytest.raises(ValueError, match="must begin with the system message"):
        Conversation(("p",), ("a",), "S")


def test_a_run_keeps_it(tmp_path: Path) -> None:
    row = Comparison(("S\n\np",), ("a",), ("c",), (1.0, 0.0, 0.0), id="r", system="S")
    write_validation_rows(RunFolder(tmp_path), [row], None)
    kept = read_validation_rows(RunFolder(tmp_path))
    assert kept is not None
    assert kept.comparisons == [row]


def test_it_is_written_as_a_column_of_its_own(tmp_path: Path) -> None:
    row = Comparison(("S\n\np",), ("a",), ("c",), (1.0, 0.0, 0.0), id="r", system="S")
    write_comparisons(tmp_path / "votes.csv", [row])
    assert read_votes(tmp_path / "votes.csv", votes="required").comparisons == (row,)


def test_a_column_holds_it_in_every_layout(tmp_path: Path) -> None:
    rows = (
        {"prompt": "p", "response_a": "a", "response_b": "c", "winner": "model_a"},
        {"prompt": ["p"], "response_a": ["a"], "response_b": ["c"], "winner": "model_a"},
        {"prompt": [{"role": "user", "content": "p"}], "response_a": "a", "response_b": "c", "winner": "model_a"},
        {
            "response_a": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}],
            "response_b": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}],
            "prompt": None,
            "winner": "model_a",
        },
        {"prompt": "p", "chosen": "a", "rejected": "c"},
    )
    for row in rows:
        (tmp_path / "v.jsonl").write_text(json.dumps({**row, "system": "S"}))
        (comparison,) = read_votes(tmp_path / "v.jsonl", votes="required").comparisons
        assert (comparison.system, comparison.prompt) == ("S", ("S\n\np",))
        assert {comparison.answer_a, comparison.answer_b} == {("a",), ("c",)}


def test_two_different_ones_are_refused(tmp_path: Path) -> None:
    prompt = [{"role": "system", "content": "T"}, {"role": "user", "content": "p"}]
    row = {"prompt": prompt, "response_a": "a", "response_b": "c", "winner": "tie", "system": "S"}
    (tmp_path / "v.jsonl").write_text(json.dumps(row))
    (problem,) = read_votes(tmp_path / "v.jsonl", votes="required").problems
    assert str(problem) == "line 1, system: differs from the system message that the messages begin with"
