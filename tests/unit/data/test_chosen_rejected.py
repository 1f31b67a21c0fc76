"""Pairs of chosen and rejected, as on the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tiebreak.data import read_votes
from tiebreak.types import A_WINS, B_WINS, Comparison

from .votefiles import write_csv, write_jsonl, write_parquet


def said(*messages: str) -> list[dict[str, str]]:
    """Messages from texts such as `user: text`."""
    return [dict(zip(("role", "content"), message.split(": ", 1), strict=True)) for message in messages]


def chosen_first(comparison: Comparison) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Prompt, chosen and rejected."""
    assert comparison.vote in (A_WINS, B_WINS)
    right = comparison if comparison.vote == A_WINS else comparison.swap()
    return right.prompt, right.answer_a, right.answer_b


def read_one(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    file = read_votes(path, votes="required")
    assert file.layout == "chosen-rejected"
    assert file.problems == ()
    (comparison,) = file.comparisons
    return chosen_first(comparison)


WHOLE = {"chosen": said("user: p", "assistant: good"), "rejected": said("user: p", "assistant: bad")}
HISTORY = ("user: p", "assistant: a", "user: q")


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"prompt": "p", "chosen": "good", "rejected": "bad"}, (("p",), ("good",), ("bad",))),
        ({"prompt": '["p"]', "chosen": '["x"]', "rejected": "[1]"}, (('["p"]',), ('["x"]',), ("[1]",))),
        (WHOLE, (("p",), ("good",), ("bad",))),
        ({"prompt": " p\n", **WHOLE}, (("p",), ("good",), ("bad",))),
        ({"prompt": "", **WHOLE}, (("p",), ("good",), ("bad",))),
        ({"prompt": said("user: p"), **WHOLE}, (("p",), ("good",), ("bad",))),
        (
            {"prompt": said("user: p"), "chosen": said("assistant: good"), "rejected": said("assistant: bad")},
            (("p",), ("good",), ("bad",)),
        ),
        (
            {"prompt": said("system: S", *HISTORY), "chosen": "good", "rejected": said("assistant: bad")},
            (("S\n\np", "q"), ("a", "good"), ("a", "bad")),
        ),
        (
            {
                "prompt": "q",
                "chosen": said("system: S", *HISTORY, "assistant: good"),
                "rejected": said("system: S", *HISTORY, "assistant: bad"),
            },
            (("S\n\np", "q"), ("a", "good"), ("a", "bad")),
        ),
    ],
)
def test_texts_and_messages_with_and_without_a_prompt(
    tmp_path: Path, row: dict[str, Any], turns: tuple[tuple[str, ...], ...]
) -> None:
    assert read_one(write_jsonl(tmp_path / "v.jsonl", [row])) == turns
    assert read_one(write_parquet(tmp_path / "v.parquet", [row])) == turns
    as_text = {column: cell if isinstance(cell, str) else json.dumps(cell) for column, cell in row.items()}
    assert read_one(write_csv(tmp_path / "v.csv", [as_text], list(row))) == turns


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"id": i, "prompt": f"question {i}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(count)]


def test_half_of_the_rows_are_swapped_and_always_the_same_ones(tmp_path: Path) -> None:
    rows = pairs(2000)
    votes = {c.id: c.vote for c in read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required").comparisons}
    wins_of_a = sum(vote == A_WINS for vote in votes.values())
    assert 900 < wins_of_a < 1100  # 4.5 standard deviations
    back = write_jsonl(tmp_path / "back.jsonl", rows[::-1])
    assert {c.id: c.vote for c in read_votes(back, votes="required").comparisons} == votes
    # Pinned, so that the sides are the same on every machine and in every version.
    assert "".join("AB"[votes[str(i)] == B_WINS] for i in range(16)) == "BBBABBBAABAABAAB"


def test_every_row_keeps_its_winner(tmp_path: Path) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", pairs(50)), votes="required")
    expected = [((f"question {i}",), (f"good {i}",), (f"bad {i}",)) for i in range(50)]
    assert [chosen_first(comparison) for comparison in file.comparisons] == expected


@pytest.mark.parametrize(
    ("row", "kinds", "message"),
    [
        ({"chosen": "a", "rejected": "b"}, ["missing_prompt"] * 2, "chosen: is a reply alone, and there is no prompt"),
        ({"prompt": None, "chosen": None, "rejected": "b"}, ["missing_prompt"], "rejected: is a reply alone"),
        (
            {"prompt": "x", **WHOLE},
            ["prompt_mismatch"] * 2,
            "chosen: starts a conversation that does not contain",
        ),
        (
            {"chosen": said("user: p", "assistant: a"), "rejected": said("user: q", "assistant: b")},
            ["prompt_mismatch"],
            "chosen and rejected reply to different prompts",
        ),
        (
            {"chosen": said(*HISTORY, "assistant: a"), "rejected": said("user: p", "assistant: b")},
            ["turn_mismatch"],
            "chosen has 2, rejected has 1",
        ),
        (
            {"chosen": said(*HISTORY), "rejected": said("user: p", "user: q")},
            ["roles"] * 2,
            "'user', 'assistant', 'user'",
        ),
        (
            {"prompt": "p", "chosen": said("tool: a"), "rejected": "b"},
            ["roles"],
            "the roles are 'user', 'tool': expected",
        ),
        ({"prompt": "p", "chosen": 3, "rejected": "b"}, ["not_text"], "chosen: is 3, neither text nor a list"),
        (
            {"prompt": "p", "chosen": [{"role": "assistant"}, "b"], "rejected": "b"},
            ["not_text"],
            "has 'b' as message 2",
        ),
        (
            {"prompt": "p", "chosen": '[{"role": "user",', "rejected": "b"},
            ["broken_json"],
            "not a JSON list of messages",
        ),
    ],
)
def test_rows_without_a_comparison(tmp_path: Path, row: dict[str, Any], kinds: list[str], message: str) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [row, pairs(1)[0]]), votes="required")
    assert len(file.comparisons) == 1
    assert [(p.line, p.kind, p.severity) for p in file.problems if not p.column.startswith("id")] == [
        (1, kind, "unreadable") for kind in kinds
    ]
    assert message in "\n".join(map(str, file.problems))


@pytest.mark.parametrize(
    ("row", "turns", "empty"),
    [
        ({"prompt": "p", "chosen": "a", "rejected": None}, (("p",), ("a",), ("",)), ["rejected"]),
        ({"prompt": "p", "chosen": "", "rejected": []}, (("p",), ("",), ("",)), ["chosen", "rejected"]),
        ({"prompt": "", "chosen": "a", "rejected": "b"}, (("",), ("a",), ("b",)), ["prompt"]),
        ({"chosen": None, "rejected": said(*HISTORY, "assistant: b")}, (("p", "q"), ("a", ""), ("a", "b")), ["chosen"]),
        (
            {
                "chosen": said(*HISTORY, "assistant: a"),
                "rejected": [*said(*HISTORY), {"role": "assistant", "content": None}],
            },
            (("p", "q"), ("a", "a"), ("a", "")),
            ["rejected"],
        ),
    ],
)
def test_empty_sides_make_a_comparison(
    tmp_path: Path, row: dict[str, Any], turns: tuple[tuple[str, ...], ...], empty: list[str]
) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required")
    assert chosen_first(file.comparisons[0]) == turns
    assert [(p.column, p.severity) for p in file.problems] == [(column, "empty") for column in empty]
