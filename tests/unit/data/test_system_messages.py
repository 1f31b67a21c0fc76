"""A system message is part of the first prompt turn, and known as such."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiebreak.data import load_votes
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
