"""Prompts of the HTTP API and of `Judge` -> conversations; and what clients send of conversations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tiebreak.client.protocol import comparison_json, conversation_json, rank_requests
from tiebreak.judges.prompts import as_comparison, as_conversation, as_ranking_row
from tiebreak.serving.conversations import parse_comparison, parse_conversation
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.serving.schema import Candidate, Message, Pair, RankRequest
from tiebreak.types import Comparison, Conversation

MESSAGES = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "p"},
    {"role": "assistant", "content": "r"},
    {"role": "user", "content": "q"},
]
SIDE = Conversation(("S\n\np", "q"), ("r", "a"), "S")
ROW = Comparison(("S\n\np", "q"), ("r", "a"), ("r", "b"), system="S")
OWN_HISTORIES = Comparison(("S\n\np", "q"), ("r", "a"), ("s", "b"), system="S")


def test_messages_in_requests() -> None:
    messages = [Message.model_validate(message) for message in MESSAGES]
    assert parse_conversation(messages, "a") == SIDE
    assert parse_comparison(messages, ["a", "b"]) == ROW
    assert parse_conversation(messages[1:], "a", "S") == SIDE
    assert parse_conversation("p", "a", "S") == Conversation(("S\n\np",), ("a",), "S")
    with pytest.raises(InvalidRequestError, match="begin with a system message, and system is another"):
        parse_conversation(messages, "a", "T")


@pytest.mark.parametrize("row", [ROW, OWN_HISTORIES, Comparison(("S\n\np",), ("a",), ("b",))])
def test_a_server_reads_what_a_client_sends(row: Comparison) -> None:
    pair = Pair.model_validate_json(comparison_json(row))
    assert parse_comparison(pair.prompt, pair.answers, pair.system) == row
    for side in row.conversations:
        one = Candidate.model_validate_json(conversation_json(side))
        assert parse_conversation(one.prompt, one.answer, one.system) == side
    [request] = rank_requests([(row.prompt, [row.answer_a, row.answer_b])], [row.system], "none")
    assert request.body is not None
    ranked = RankRequest.model_validate(json.loads(request.body))
    sides = tuple(parse_conversation(ranked.prompt, answer, ranked.system) for answer in ranked.answers)
    assert sides == row.conversations


def test_messages_in_python() -> None:
    assert as_conversation(MESSAGES, "a") == SIDE
    assert as_comparison(MESSAGES, "a", "b") == ROW
    assert as_ranking_row(MESSAGES, ["a", "b"]) == (ROW.prompt, [ROW.answer_a, ROW.answer_b], "S")
    assert as_ranking_row("p", ["a", "b"]) == (("p",), [("a",), ("b",)], "")


@pytest.mark.parametrize(
    ("prompt", "answer", "error", "reason"),
    [
        (MESSAGES, ["r", "a"], ValueError, "answer has 2 turns: a prompt of messages takes one reply"),
        (MESSAGES[:3], "a", ValueError, "prompt: the roles are"),
        ([*MESSAGES, "x"], "a", TypeError, "prompt has 'x' as message 5"),
        ([{"role": "user", "content": [{"type": "image"}]}], "a", TypeError, "prompt has an image in message 1"),
        (7, "a", TypeError, "prompt is 7: give a string, or a list of strings"),
    ],
)
def test_prompts_that_are_not_understood(prompt: Any, answer: Any, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        as_conversation(prompt, answer)
