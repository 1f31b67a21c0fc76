"""Summaries of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tiebreak.data import Lengths, Summary, read_votes, summarise

from .votefiles import write_jsonl

A, B, TIE = "model_a", "model_b", "tie"


def summary_of(folder: Path, rows: list[Any]) -> Summary:
    return summarise(read_votes(write_jsonl(folder / "v.jsonl", rows), votes="optional"))


def row(prompt: Any, a: Any, b: Any, winner: str | None) -> dict[str, Any]:
    return {"prompt": prompt, "response_a": a, "response_b": b, "winner": winner}


def test_shares_lengths_and_turns(tmp_path: Path) -> None:
    rows = [
        row("one two", "x", "y z w", A),
        row(["p", "q r"], ["s", "t"], ["u", "v"], A),
        row("p", "long " * 20, "b", TIE),
        row("p", "b", "c", None),
    ]
    summary = summary_of(tmp_path, rows)
    assert (summary.rows, summary.usable_rows, summary.format, summary.layout) == (4, 4, "jsonl", "winner")
    assert summary.shares == {"model_a": pytest.approx(2 / 3), "model_b": 0.0, "tie": pytest.approx(1 / 3)}
    assert summary.multi_turn_share == 0.25
    assert summary.mean_length_difference == (4 + 0 + 99 + 0) / 4
    assert summary.prompt is not None
    assert summary.prompt.characters == Lengths(median=1, p90=7, p99=7, max=7)
    assert summary.prompt.words == Lengths(median=1, p90=3, p99=3, max=3)
    assert summary.answers is not None
    assert summary.answers.words == Lengths(median=1, p90=20, p99=20, max=20)
    assert summary.whole is not None
    assert summary.whole.characters == Lengths(median=8, p90=102, p99=102, max=102)


def test_percentiles_are_nearest_ranks(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, [row("x" * n, "a", "b", TIE) for n in range(100, 0, -1)])
    assert summary.prompt is not None
    assert summary.prompt.characters == Lengths(median=50, p90=90, p99=99, max=100)


def test_duplicates_and_contradictions_are_found_in_both_orders(tmp_path: Path) -> None:
    rows = [
        row("p", "a", "b", A),
        row("p", "b", "a", B),  # the same vote from the other side
        row("q", "a", "b", A),
        row("q", "b", "a", A),  # the opposite
        row("r", "a", "b", TIE),
        row("r", "a", "b", A),
        row("r", "b", "a", None),
        row("s", "a", "b", A),  # alone
        row("t", "a", "b", None),
        row("t", "a", "b", A),
    ]
    summary = summary_of(tmp_path, rows)
    assert (summary.duplicate_groups, summary.duplicate_rows) == (4, 9)
    assert summary.contradictions == ((3, 4), (5, 6, 7))


def test_identical_answers(tmp_path: Path) -> None:
    rows = [row("p", "a", "a", A), row("p", "a", "a", B), row("q", "a", "a", TIE), row("q", "a", "a", A)]
    summary = summary_of(tmp_path, rows)
    assert summary.identical_answers_with_winner == (1, 2, 4)
    assert summary.contradictions == ((3, 4),)  # it does not matter which of two equal answers won


def test_soft_labels_contradict_when_they_favour_different_outcomes(tmp_path: Path) -> None:
    votes = [(0.6, 0.3, 0.1), (0.7, 0.1, 0.2), (0.3, 0.6, 0.1)]
    columns = ("winner_model_a", "winner_model_b", "winner_tie")
    texts = {"prompt": "p", "response_a": "a", "response_b": "b"}
    rows = [texts | dict(zip(columns, vote, strict=True)) for vote in votes]
    assert summary_of(tmp_path, rows[:2]).contradictions == ()
    summary = summary_of(tmp_path, rows)
    assert summary.layout == "soft"
    assert summary.contradictions == ((1, 2, 3),)
    assert summary.shares is not None
    assert list(summary.shares.values()) == pytest.approx([1.6 / 3, 1 / 3, 0.4 / 3])


def test_problems_are_counted_by_kind_and_usable_rows_by_row(tmp_path: Path) -> None:
    rows = [row("p", "", "", A), row("p", "a\0", "", "who"), row("p", "a\0", "b", A), [], row("\0", "a", "b", B)]
    summary = summary_of(tmp_path, rows)
    assert (summary.rows, summary.usable_rows) == (5, 2)
    assert summary.problems == {"empty_answer": 2, "repaired_text": 2, "unknown_winner": 1, "broken_json": 1}


def test_a_file_without_votes_or_without_a_readable_row(tmp_path: Path) -> None:
    unlabelled = summary_of(tmp_path, [{"prompt": "p", "response_a": "a", "response_b": "b"}])
    assert (unlabelled.shares, unlabelled.layout, unlabelled.contradictions) == (None, "unlabelled", ())
    hopeless = summary_of(tmp_path, [row("p", "a", "b", "who")])
    assert (hopeless.usable_rows, hopeless.prompt, hopeless.multi_turn_share) == (0, None, None)


def test_a_summary_is_json_serialisable(tmp_path: Path) -> None:
    data = json.loads(json.dumps(summary_of(tmp_path, [row("p", "a", "bc", A)]).to_dict()))
    assert data["answers"]["characters"] == {"median": 1, "p90": 2, "p99": 2, "max": 2}
    assert data["shares"] == {"model_a": 1.0, "model_b": 0.0, "tie": 0.0}
    assert data["contradictions"] == []
