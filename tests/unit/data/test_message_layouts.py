"""Messages, whole conversations and the column `system` in files of votes and in files to score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.unit.serving.test_messages import UNDERSTOOD
from tiebreak.cli import app
from tiebreak.data import (
    Candidates,
    from_frame,
    load_votes,
    read_candidates,
    read_votes,
    write_comparisons,
)
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, Comparison, Conversation

from .votefiles import write_csv, write_jsonl, write_parquet

ASKED = [{"role": "user", "content": [{"type": "text", "text": "1 + 1?"}]}]
SYSTEM = {"role": "developer", "content": "Be kind."}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "add", "arguments": "{}"}}]}
RENDERED_CALL = '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'
VOTE = {"winner": "model_a"}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def row_of(tmp_path: Path, row: dict[str, Any], **options: Any) -> Comparison:
    [comparison] = load_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required", **options).comparisons
    return comparison


def refusal(tmp_path: Path, row: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        row_of(tmp_path, row)
    return str(caught.value)


EXPECTED = Comparison(("1 + 1?",), ("2",), ("3",), A_WINS, "0")


@pytest.mark.parametrize(
    "texts",
    [
        {"prompt": ASKED, "response_a": "2", "response_b": "3"},
        {"prompt": ASKED, "response_a": [said("2")], "response_b": [said("3")]},
        {"prompt": "1 + 1?", "response_a": [said("2")], "response_b": [said("3")]},
        {"prompt": ASKED, "response_a": [*ASKED, said("2")], "response_b": [*ASKED, said("3")]},
        {"prompt": None, "response_a": [*ASKED, said("2")], "response_b": [*ASKED, said("3")]},
        {"response_a": [*ASKED, said("2")], "response_b": [*ASKED, said("3")]},
        {"prompt": json.dumps(ASKED), "response_a": "2", "response_b": json.dumps([said("3")])},
        {"prompt": '[{"from": "human", "value": "1 + 1?"}]', "response_a": "2", "response_b": "3"},
        {"prompt": "", "response_a": json.dumps([*ASKED, said("2")]), "response_b": json.dumps([*ASKED, said("3")])},
    ],
)
def test_messages_side_by_side(tmp_path: Path, texts: dict[str, Any]) -> None:
    assert row_of(tmp_path, texts | VOTE) == EXPECTED


def test_messages_side_by_side_from_parquet_and_frames(tmp_path: Path) -> None:
    rows = [{"prompt": [said("Hi!"), {"role": "user", "content": "1 + 1?"}], "response_a": "2", "response_b": "3"}]
    expected = Comparison(("", "1 + 1?"), ("Hi!", "2"), ("Hi!", "3"))
    path = write_parquet(tmp_path / "v.parquet", rows)
    [comparison] = read_votes(path, votes="optional").comparisons
    assert (comparison.prompt, comparison.answer_a, comparison.answer_b) == (
        expected.prompt,
        expected.answer_a,
        expected.answer_b,
    )
    in_parts = [{"prompt": [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in rows[0]["prompt"]]}]
    parts = write_parquet(tmp_path / "parts.parquet", [rows[0] | in_parts[0]])
    for frame in (pd.read_parquet(path), pd.DataFrame(rows), pd.read_parquet(parts)):
        [comparison] = from_frame(frame)
        assert comparison.prompt == ("", "1 + 1?")
        assert comparison.answer_b == ("Hi!", "3")


@pytest.mark.parametrize(
    "prompt",
    [
        '[{"role": "user", "content": "hi"}] what is this?',
        '[{"content": "hi"}]',
        '[{"from": "Rome", "value": 3}]',
        'Write [{"role": "user", "content": "hi"}]',
    ],
)
def test_texts_about_messages_stay_texts(tmp_path: Path, prompt: str) -> None:
    answer = '[{"role": "assistant", "content": "2"}]'
    comparison = row_of(tmp_path, {"prompt": prompt, "response_a": answer, "response_b": "3"} | VOTE)
    assert comparison == Comparison((prompt,), (answer,), ("3",), A_WINS, "0")


def test_two_answers_written_as_messages_to_a_text_are_noted(tmp_path: Path) -> None:
    texts = {"prompt": "1 + 1?", "response_a": json.dumps([said("2")]), "response_b": json.dumps([said("3")])}
    [problem] = read_votes(write_csv(tmp_path / "v.csv", [texts | VOTE], [*texts, "winner"]), votes="required").problems
    assert problem.kind == "lists_as_text"
    assert problem.message == (
        "both answers are messages in JSON, but the prompt is plain text: read as plain text. Empty the prompt if they "
        "are whole conversations, or write it as messages"
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": None, "response_a": [said("2")], "response_b": "3"}, "response_a: is a reply alone, and there is"),
        (
            {"prompt": "q", "response_a": [*ASKED, said("2")], "response_b": [*ASKED, said("3")]},
            "response_a: starts a conversation that does not contain the column prompt",
        ),
        (
            {"response_a": [*ASKED, said("2")], "response_b": [{"role": "user", "content": "q"}, said("3")]},
            "response_a and response_b reply to different prompts",
        ),
        ({"prompt": ASKED, "response_a": [CALL], "response_b": "3"}, "response_a: ends in a tool call"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "response_a": "2", "response_b": "3"},
            "prompt: has an image in message 1: a judge reads text alone",
        ),
        ({"question": "q", "response_a": "2", "response_b": "3"}, "lacks prompt"),
        ({"promt": "q", "response_a": "2", "response_b": "3"}, "lacks prompt (rename 'promt'?)"),
    ],
)
def test_what_is_refused(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    assert reason in refusal(tmp_path, row | VOTE)


def test_tool_calls_as_text(tmp_path: Path) -> None:
    row = {"prompt": ASKED, "response_a": [CALL], "response_b": "3"} | VOTE
    assert row_of(tmp_path, row, tool_calls="text") == Comparison(("1 + 1?",), (RENDERED_CALL,), ("3",), A_WINS, "0")
    pair = {"prompt": ASKED, "chosen": [CALL], "rejected": [said("3")]}
    comparison = row_of(tmp_path, pair, tool_calls="text")
    assert {comparison.answer_a, comparison.answer_b} == {(RENDERED_CALL,), ("3",)}
    path = str(write_jsonl(tmp_path / "v.jsonl", [pair]))
    assert CliRunner().invoke(app, ["check", path]).exit_code == 1
    assert CliRunner().invoke(app, ["check", path, "--tool-calls", "text"]).exit_code == 0


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "1 + 1?", "response_a": "2", "response_b": "3", "system": "Be kind.", **VOTE},
        {"prompt": ["1 + 1?"], "response_a": ["2"], "response_b": ["3"], "system": "Be kind.", **VOTE},
        {"prompt": ASKED, "response_a": "2", "response_b": "3", "system": "Be kind.", **VOTE},
        {"prompt": [SYSTEM, *ASKED], "response_a": "2", "response_b": "3", "system": "Be kind.\n", **VOTE},
        {"prompt": [SYSTEM, *ASKED], "response_a": "2", "response_b": "3", "system": None, **VOTE},
    ],
)
def test_the_column_system(tmp_path: Path, row: dict[str, Any]) -> None:
    expected = Comparison(("Be kind.\n\n1 + 1?",), ("2",), ("3",), A_WINS, "0", system="Be kind.")
    assert row_of(tmp_path, row) == expected
    assert list(from_frame(pd.DataFrame([row]), votes="required")) == [expected]


def test_the_column_system_of_chosen_and_rejected(tmp_path: Path) -> None:
    comparison = row_of(tmp_path, {"prompt": "1 + 1?", "chosen": "2", "rejected": "3", "system": "Be kind."})
    in_messages = row_of(tmp_path, {"prompt": [SYSTEM, *ASKED], "chosen": [said("2")], "rejected": [said("3")]})
    assert comparison == in_messages
    assert comparison.system == "Be kind."
    assert comparison.user_turns == ("1 + 1?",)
    assert comparison.vote == (A_WINS if comparison.answer_a == ("2",) else B_WINS)


def test_another_system_message_is_refused(tmp_path: Path) -> None:
    row = {"prompt": [SYSTEM, *ASKED], "response_a": "2", "response_b": "3", "system": "Be rude.", **VOTE}
    assert "system: is 'Be rude.', but the messages begin with another system message" in refusal(tmp_path, row)
    assert "system: is ['x']: expected text" in refusal(tmp_path, row | {"system": ["x"]})


def test_system_messages_are_written_and_read_back(tmp_path: Path) -> None:
    rows = [
        Comparison(("S\n\np", "q"), ("a", "b"), ("c", "d"), A_WINS, "r", system="S"),
        Comparison(("p",), ("a",), ("c",), B_WINS, "s"),
    ]
    write_comparisons(tmp_path / "votes.csv", rows)
    assert list(read_votes(tmp_path / "votes.csv", votes="required").comparisons) == rows


CANDIDATES = Candidates("0", ("1 + 1?",), (("2",), ("3",)))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": ASKED, "responses": ["2", "3"]}, CANDIDATES),
        ({"prompt": json.dumps(ASKED), "responses": ["2", "3"]}, CANDIDATES),
        ({"prompt": "1 + 1?", "responses": [[said("2")], "3"]}, CANDIDATES),
        ({"prompt": None, "responses": [[*ASKED, said("2")], [*ASKED, said("3")]]}, CANDIDATES),
        ({"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}, CANDIDATES),
        ({"prompt": "1 + 1?", "chosen": "3", "rejected": "2"}, Candidates("0", ("1 + 1?",), (("3",), ("2",)))),
        ({"chosen": [*ASKED, said("2")], "rejected": [*ASKED, said("3")]}, CANDIDATES),
        ({"prompt": "1 + 1?", "response_a": "2", "response_b": "3", "winner": "tie"}, CANDIDATES),
        ({"prompt": ASKED, "response_a": "2", "response_b": "3"}, CANDIDATES),
        ({"messages": [*ASKED, said("2")]}, Candidates("0", ("1 + 1?",), (("2",),))),
        ({"messages": json.dumps([*ASKED, said("2")])}, Candidates("0", ("1 + 1?",), (("2",),))),
        (
            {"prompt": "1 + 1?", "messages": [SYSTEM, *ASKED, said("2")]},
            Candidates("0", ("Be kind.\n\n1 + 1?",), (("2",),), "Be kind."),
        ),
        (
            {"prompt": "1 + 1?", "response": "2", "system": "Be kind."},
            Candidates("0", ("Be kind.\n\n1 + 1?",), (("2",),), "Be kind."),
        ),
        (
            {"messages": [*ASKED, said("2")], "system": "Be kind."},
            Candidates("0", ("Be kind.\n\n1 + 1?",), (("2",),), "Be kind."),
        ),
    ],
)
def test_answers_to_score(tmp_path: Path, row: dict[str, Any], expected: Candidates) -> None:
    file = read_candidates(write_jsonl(tmp_path / "v.jsonl", [row]))
    assert file.rows == (expected,)
    assert file.listed == (len(expected.answers) == 2)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"prompt": "p", "messages": [], "response": "a"},
            "has answers in 'response' and 'messages': keep one, response (one answer) or messages (a whole "
            "conversation, whose last message is the answer).",
        ),
        ({"prompt": "p", "chosen": "a"}, "or messages (a whole conversation, whose last message is the answer); or"),
        ({"messages": ASKED}, "line 1: messages the roles are 'user'"),
        ({"messages": "2"}, "line 1: messages is '2': expected a list of messages"),
        ({"messages": None}, "line 1: messages is missing"),
        ({"messages": [*ASKED, CALL]}, "line 1: messages ends in a tool call"),
        ({"prompt": "p", "chosen": 3, "rejected": "b"}, "line 1: chosen is 3, neither text nor a list of messages"),
        ({"prompt": "p", "response": "a", "system": 3}, "line 1: system is 3: expected text"),
    ],
)
def test_answers_that_cannot_be_scored(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError) as caught:
        read_candidates(write_jsonl(tmp_path / "v.jsonl", [row]))
    assert reason in str(caught.value)


@pytest.mark.parametrize(("prompt", "answer", "expected"), UNDERSTOOD[:-1])  # cells that are JSON text are messages
def test_files_are_read_as_requests_are(tmp_path: Path, prompt: Any, answer: Any, expected: Conversation) -> None:
    [row] = read_candidates(write_jsonl(tmp_path / "v.jsonl", [{"prompt": prompt, "response": answer}])).rows
    assert Conversation(row.prompt, row.answers[0], row.system) == expected
    pair = {"prompt": prompt, "response_a": answer, "response_b": answer}
    assert row_of(tmp_path, pair | VOTE).conversations == (expected, expected)
