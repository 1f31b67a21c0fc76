"""Messages mean the same in Python, in requests, to reward functions and in files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.unit.serving.judges import FakeJudge
from tiebreak import AsyncClient, Client
from tiebreak.judges.prompts import as_comparison, as_conversation, as_ranking_rows
from tiebreak.rewards import JudgeReward
from tiebreak.serving import Limits, create_app
from tiebreak.serving.compat.inputs import parse_messages
from tiebreak.serving.conversations import parse_comparison, parse_conversation
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.serving.judge_service import JudgeService
from tiebreak.serving.schema import Candidate, Pair
from tiebreak.types import Comparison, Conversation

USER = {"role": "user", "content": "1 + 1?"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "1 +"}, {"type": "text", "text": "1?"}]}
DEVELOPER = {"role": "developer", "content": "Be kind."}
GREETING = {"role": "assistant", "content": "Hi!"}
CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "2"}
REPLY = {"role": "assistant", "content": "2"}
PARTS_REPLY = {"role": "assistant", "content": [{"type": "text", "text": "2"}]}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "a"}]}
RENDERED_CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
RENDERED_RESULT = "<tool_response>\n2\n</tool_response>"

WRITTEN = '[{"role": "assistant", "content": "3"}]'
"""A text that an answer may well be: it is no message."""

PLAIN = Conversation(("1 + 1?",), ("2",))
WITH_SYSTEM = Conversation(("Be kind.\n\n1 + 1?",), ("2",), "Be kind.")
UNDERSTOOD = [
    ([USER], "2", PLAIN),
    ([USER], [REPLY], PLAIN),
    ([USER], [PARTS_REPLY], PLAIN),
    ("1 + 1?", [REPLY], PLAIN),
    ([USER], [USER, REPLY], PLAIN),
    ("", [USER, REPLY], PLAIN),
    ("1 + 1?", [DEVELOPER, USER, REPLY], WITH_SYSTEM),
    ([DEVELOPER, USER], [REPLY], WITH_SYSTEM),
    ([PARTS], [REPLY], Conversation(("1 +\n1?",), ("2",))),
    ([USER, USER], "2", Conversation(("1 + 1?\n\n1 + 1?",), ("2",))),
    ([GREETING, USER], [REPLY], Conversation(("", "1 + 1?"), ("Hi!", "2"))),
    ("", [GREETING, USER, REPLY], Conversation(("", "1 + 1?"), ("Hi!", "2"))),
    ([USER, CALLS, RESULT], [REPLY], Conversation(("1 + 1?", RENDERED_RESULT), (RENDERED_CALL, "2"))),
    ([USER], WRITTEN, Conversation(("1 + 1?",), (WRITTEN,))),
]  # fmt: skip


def seen_by_a_reward(prompt: Any, answer: Any, **options: Any) -> list[Conversation]:
    seen: list[Conversation] = []

    def see(conversations: Sequence[Conversation]) -> list[float | None]:
        seen.extend(conversations)
        return [0.0] * len(conversations)

    JudgeReward(see, scores_alone=True, **options)([prompt], [answer])
    return seen


@pytest.mark.parametrize(("prompt", "answer", "expected"), UNDERSTOOD)
def test_messages_are_understood_in_the_same_way(prompt: Any, answer: Any, expected: Conversation) -> None:
    assert as_conversation(prompt, answer) == expected
    request = Candidate.model_validate({"prompt": prompt, "answer": answer})
    assert parse_conversation(request.prompt, request.answer) == expected
    assert seen_by_a_reward(prompt, answer) == [expected]
    both = Comparison(expected.prompt, expected.answer, expected.answer, system=expected.system)
    assert as_comparison(prompt, answer, answer) == both
    pair = Pair.model_validate({"prompt": prompt, "answers": [answer, answer]})
    assert parse_comparison(pair.prompt, pair.answers) == both
    row = (expected.prompt, [expected.answer], expected.system)
    assert as_ranking_rows([(prompt, [answer])], None) == [row]


@pytest.mark.parametrize(
    ("prompt", "answer", "error", "reason"),
    [
        ([IMAGE], "a", TypeError, "prompt: has an image in message 1: a judge reads text alone"),
        ([USER], [CALLS], ValueError, "answer ends in a tool call"),
        ([USER], [USER], ValueError, "answer: the roles are 'user'"),
        ("q", [USER, REPLY], ValueError, "answer: starts a conversation that does not contain"),
        (["p", "q"], [REPLY], TypeError, "prompt"),
        ([USER], ["2", "3"], ValueError, "answer has 2 turns"),
    ],
)
def test_what_is_refused(prompt: Any, answer: Any, error: type[Exception], reason: str) -> None:
    request = Candidate.model_validate({"prompt": prompt, "answer": answer})
    with pytest.raises(InvalidRequestError) as refused:
        parse_conversation(request.prompt, request.answer)
    with pytest.raises(error) as raised:
        as_conversation(prompt, answer)
    for message in (str(refused.value), str(raised.value).replace("prompt has", "prompt: has")):
        assert reason in message
    if "tool call" in reason:
        advice = 'give the call as text, such as <tool_call>{"name": ..., "arguments": ...}</tool_call>'
        assert advice in str(refused.value)
        assert advice in str(raised.value)


def test_answers_with_different_prompts_are_refused() -> None:
    other = [{"role": "user", "content": "q"}, REPLY]
    with pytest.raises(ValueError, match="b is a conversation with another prompt than a"):
        as_comparison("", [USER, REPLY], other)
    pair = Pair.model_validate({"prompt": "", "answers": [[USER, REPLY], other]})
    with pytest.raises(InvalidRequestError, match=r"answers\[1\] is a conversation with another prompt"):
        parse_comparison(pair.prompt, pair.answers)


def test_system_messages_of_ranked_rows() -> None:
    asked = [("p", ["a"]), ([USER], [[REPLY]])]
    assert as_ranking_rows(asked, ["", "S"]) == [
        (("p",), [("a",)], ""),
        (("S\n\n1 + 1?",), [("2",)], "S"),
    ]
    with pytest.raises(ValueError, match="systems has another"):
        as_ranking_rows([([DEVELOPER, USER], ["2"])], ["S"])
    with pytest.raises(ValueError, match="systems has 1 texts for 2 prompts"):
        as_ranking_rows(asked, ["S"])


def test_completions_with_tool_calls_are_scored_if_asked_for() -> None:
    completion = [CALLS, RESULT, REPLY]
    assert seen_by_a_reward([USER], completion) == []
    expected = Conversation(("1 + 1?",), (f"{RENDERED_CALL}\n{RENDERED_RESULT}\n2",))
    assert seen_by_a_reward([USER], completion, tool_calls="text") == [expected]
    assert seen_by_a_reward([USER], [CALLS], tool_calls="text") == [Conversation(("1 + 1?",), (RENDERED_CALL,))]
    in_parts = [{"role": "assistant", "content": [{"type": "tool_use", "name": "add", "input": {}}]}]
    assert seen_by_a_reward([USER], in_parts) == []
    assert seen_by_a_reward([USER], [PARTS_REPLY]) == [PLAIN]
    assert seen_by_a_reward([IMAGE], "a") == []


def test_judges_take_messages() -> None:
    good, bad = [{"role": "assistant", "content": [{"type": "text", "text": "good"}]}], [GREETING, USER, REPLY]
    pairwise, rewards = FakeJudge(), FakeJudge(rewards=True)
    assert pairwise.compare([USER], good, "bad").model_a == 0.8
    assert rewards.score("", [DEVELOPER, USER, *good]).reward == 2.0
    assert pairwise.rank([USER], ["bad", good]).ranks == (2, 1)
    asked: list[Any] = [([USER], ["bad", good]), ("p", [good, "bad"])]
    assert [ranking.ranks for ranking in pairwise.rank_many(asked, systems=["S", ""])] == [(2, 1), (1, 2)]
    with pytest.raises(ValueError, match=r"answers\[1\] is a conversation with another prompt than answers\[0\]"):
        pairwise.rank("", [[USER, REPLY], bad])
    with pytest.raises(TypeError, match=r"^a is \{.*: give a string, or a list of strings, one per turn, or of mess"):
        pairwise.compare("p", REPLY, "b")  # type: ignore[arg-type]


def error_message(response: Any) -> str:
    assert response.status_code == 422, response.text
    return str(response.json()["error"]["message"])


def test_requests() -> None:
    judge = FakeJudge(rewards=True)
    good = {"role": "assistant", "content": [{"type": "text", "text": "good"}], "refusal": None, "annotations": []}
    bad = {"role": "assistant", "content": "bad"}
    with TestClient(create_app(judge, name="fake", grace=1)) as client:
        scored = client.post("/v1/score", json={"prompt": [DEVELOPER, USER, CALLS, RESULT], "answer": [good]})
        assert scored.json()["reward"] == 2.0
        found = client.post("/v1/compare", json={"prompt": "1 + 1?", "answers": [[bad], [USER, good]]}).json()
        assert found["rewards"] == [-1.0, 2.0]
        ranked = client.post("/v1/rank", json={"prompt": [USER], "answers": [[bad], [good], "fair"]}).json()
        assert [row["index"] for row in ranked["ranking"]] == [1, 2, 0]
        assert "has an image in message 1" in error_message(
            client.post("/v1/score", json={"prompt": [IMAGE], "answer": "good"})
        )
        assert "give the call as text" in error_message(
            client.post("/v1/score", json={"prompt": [USER], "answer": [CALLS]})
        )
        refusal = {"role": "assistant", "content": None, "refusal": "No."}
        assert "refusal" in error_message(client.post("/v1/score", json={"prompt": [USER], "answer": [refusal]}))
        nested = '{"type": "tool_result", "content": [' * 300 + "]}" * 300
        body = f'{{"prompt": [{{"role": "user", "content": [{nested}]}}], "answer": "good"}}'
        sent = client.post("/v1/score", content=body, headers={"content-type": "application/json"})
        assert "is nested too deeply in message 1" in error_message(sent)
        pooled = client.post("/pooling", json={"messages": [DEVELOPER, PARTS, CALLS, RESULT, good]})
        assert pooled.json()["data"][0]["data"] == [2.0]
        assert "has an image in message 1" in error_message(client.post("/pooling", json={"messages": [IMAGE, bad]}))
        assert "give the call as text" in error_message(client.post("/pooling", json={"messages": [USER, CALLS]}))


def test_messages_of_compatibility_apis() -> None:
    served = JudgeService(FakeJudge(), "fake", Limits())
    try:
        messages = [("system", "Be kind."), ("user", "1 + 1?"), ("response_a", "2"), ("response_b", "3")]
        expected = Comparison(("Be kind.\n\n1 + 1?",), ("2",), ("3",), system="Be kind.")
        assert parse_messages(served, messages) == expected
    finally:
        served.drain(0)


def test_both_clients_take_messages() -> None:
    bodies: list[Any] = []
    limits = {"body_bytes": 1 << 20, "texts": 4096, "tokens": 1024, "queue": 8192, "seconds": 180.0}
    model = {
        "name": "served", "tiebreak": "1", "kind": "pointwise", "gives_rewards": True, "base_model": None,
        "calibration": None, "metrics": None, "recipe": None, "limits": limits,
    }  # fmt: skip
    score = {"reward": 1.0, "normalised": 0.0, "tokens_read": 1, "tokens_lost": 0}
    verdict = {
        "probabilities": {"model_a": 1.0, "model_b": 0.0, "tie": 0.0}, "orders": None, "rewards": None,
        "tokens_read": 1, "tokens_lost": 0,
    }  # fmt: skip
    ranking = {
        "best": 0, "comparisons": 0, "tokens_lost": 0,
        "ranking": [{"index": 0, "rank": 1, "reward": 1.0, "normalised": 0.0}],
    }  # fmt: skip
    answers = {"/v1/model": model, "/v1/score/batch": {"scores": [score]}, "/v1/compare/batch": {"verdicts": [verdict]}}

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.content:
            bodies.append(json.loads(request.content))
        return httpx2.Response(200, json=answers.get(request.url.path, ranking))

    with Client("http://judge.example", transport=httpx2.MockTransport(answer)) as judge:
        judge.score([DEVELOPER, PARTS], [PARTS_REPLY])
        judge.compare("", [USER, REPLY], [USER, REPLY])
        judge.rank([USER], [[REPLY]])
        judge.rank_many([([GREETING, USER], [[REPLY]])])

    async def ask() -> None:
        transport = httpx2.MockTransport(answer)
        async with AsyncClient("http://judge.example", transport=transport) as judge:
            await judge.score([DEVELOPER, PARTS], [PARTS_REPLY])
            await judge.compare("", [USER, REPLY], [USER, REPLY])
            await judge.rank([USER], [[REPLY]])
            await judge.rank_many([([GREETING, USER], [[REPLY]])])

    asyncio.run(ask())
    assert bodies == 2 * [
        {"conversations": [{"prompt": ["1 +\n1?"], "system": "Be kind.", "answer": ["2"]}]},
        {"comparisons": [{"prompt": ["1 + 1?"], "answers": [["2"], ["2"]]}], "swap": "none"},
        {"prompt": ["1 + 1?"], "answers": [["2"]], "swap": "average"},
        {"prompt": ["", "1 + 1?"], "answers": [["Hi!", "2"]], "swap": "average"},
    ]
