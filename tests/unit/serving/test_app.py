"""The app as clients see it, with a judge without a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.unit.serving.judges import FakeJudge
from tiebreak.serving import Limits, create_app
from tiebreak.serving.judge_service import JudgeService
from tiebreak.types import Conversation

ASK = {"prompt": "p", "answers": ["good", "bad"]}


@pytest.fixture
def judge() -> FakeJudge:
    return FakeJudge()


@pytest.fixture
def client(judge: FakeJudge) -> Iterator[TestClient]:
    with TestClient(create_app(judge, name="fake", grace=1)) as client:
        yield client


def rewards() -> TestClient:
    return TestClient(create_app(FakeJudge(rewards=True), name="fake", grace=1))


def message(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == status
    return str(error["message"])


def test_a_comparison_in_both_orders(client: TestClient) -> None:
    found = client.post("/v1/compare", json=ASK).json()
    assert found["verdict"] == "model_a"
    assert found["probabilities"] == pytest.approx({"model_a": 0.75, "model_b": 0.15, "tie": 0.1})
    assert found["orders"]["as_given"]["model_a"] == pytest.approx(0.8)
    assert found["orders"]["swapped"]["model_a"] == pytest.approx(0.7)
    assert found["disagreement"] == pytest.approx(0.1)
    assert found["rewards"] is None
    assert found["calibrated"] is False
    assert found["tokens_read"] == 10


def test_a_comparison_in_one_order_is_half_the_work(client: TestClient, judge: FakeJudge) -> None:
    found = client.post("/v1/compare", json=ASK | {"swap": "none"}).json()
    assert found["orders"] is None
    assert found["disagreement"] is None
    assert found["probabilities"]["model_a"] == pytest.approx(0.8)
    assert judge.passes == [["p"]]


def test_many_comparisons_keep_their_order(client: TestClient) -> None:
    pairs = [ASK, {"prompt": "q", "answers": ["bad", "good"]}, {"prompt": "r", "answers": ["fair", "fair"]}]
    found = client.post("/v1/compare/batch", json={"comparisons": pairs, "swap": "none"}).json()["verdicts"]
    assert [v["verdict"] for v in found] == ["model_a", "model_b", "model_a"]


def test_rewards(judge: FakeJudge) -> None:
    with rewards() as client:
        assert client.post("/v1/score", json={"prompt": "p", "answer": "fair"}).json() == {
            "reward": 1.0, "normalised": 0.0, "tokens_read": 10, "tokens_lost": 0,
        }  # fmt: skip
        asked = [{"prompt": "p", "answer": answer} for answer in ("bad", "good")]
        found = client.post("/v1/score/batch", json={"conversations": asked}).json()
        assert [score["reward"] for score in found["scores"]] == [-1.0, 2.0]
        assert client.post("/v1/compare", json=ASK).json()["rewards"] == [2.0, -1.0]
        ranking = client.post("/v1/rank", json={"prompt": "p", "answers": ["bad", "good", "fair", "good"]}).json()
        assert [(r["index"], r["rank"]) for r in ranking["ranking"]] == [(1, 1), (3, 1), (2, 3), (0, 4)]
        assert ranking["comparisons"] == 0


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_pairwise_judge_ranks_by_tournament(client: TestClient, judge: FakeJudge, count: int) -> None:
    answers = ["bad", "fair", "good"][:count] if count < 4 else ["bad"] * 5 + ["fair"] * 6 + ["good"]
    found = client.post("/v1/rank", json={"prompt": "p", "answers": answers}).json()
    assert found["best"] == len(answers) - 1
    assert found["comparisons"] == {1: 0, 3: 3, 12: 45}[count]  # of 66 pairs
    assert found["ranking"][-1]["index"] in range(5)


@pytest.mark.parametrize(
    ("prompt", "answer", "turns"),
    [
        ("p", "good", 1),
        ("p", ["good"], 1),
        (["p", "q"], ["one", "good"], 2),
        ([{"role": "user", "content": "p"}], "good", 1),
        (
            [
                {"role": "system", "content": "s"}, {"role": "user", "content": "p"},
                {"role": "assistant", "content": "one"}, {"role": "user", "content": "q"},
            ],
            "good", 2,
        ),
    ],
)  # fmt: skip
def test_the_shapes_of_a_prompt(prompt: Any, answer: Any, turns: int) -> None:
    judge = FakeJudge(rewards=True)
    with TestClient(create_app(judge, name="fake", grace=1)) as client:
        assert client.post("/v1/score", json={"prompt": prompt, "answer": answer}).json()["reward"] == 2.0
    assert judge.passes == [["s\n\np" if turns == 2 and isinstance(prompt[0], dict) else "p"]]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/v1/compare", {"prompt": "p"}, "answers: Field required"),
        ("/v1/compare", ASK | {"answers": ["a"]}, "answers: List should have at least 2 items"),
        ("/v1/compare", ASK | {"swop": "none"}, "swop: Extra inputs are not permitted"),
        ("/v1/compare", ASK | {"swap": "uncertain:0.3"}, "swap: Input should be 'none' or 'average'"),
        (
            "/v1/compare",
            ASK | {"prompt": ["p", "q"]},
            "The prompt has 2 turns and answers[0] has 1. Give one reply per turn.",
        ),
        ("/v1/compare", ASK | {"prompt": 7}, "prompt"),
        ("/v1/score", {"prompt": "p", "answer": "good"}, "is a pairwise judge and cannot score a single answer"),
        ("/v1/rank", {"prompt": "p", "answers": []}, "at least 1 item"),
        ("/v1/rank", {"prompt": [{"role": "assistant", "content": "a"}], "answers": ["b"]}, "the roles are"),
        ("/v1/compare", ASK | {"prompt": "long", "truncate": False}, "3 tokens over the judge's limit of 1,000 tokens"),
        ("/v1/rank", {"prompt": "long", "answers": ["a", "b"], "truncate": False}, "over the judge's limit"),
    ],
)
def test_error_messages(client: TestClient, path: str, body: Any, reason: str) -> None:
    assert reason in message(client.post(path, json=body), 422)


def test_an_unknown_field_is_named_without_the_api_of_its_path(client: TestClient) -> None:
    """`/v1/score` is Tiebreak's path and vLLM's."""
    for field in ("answers", "Answers"):
        response = client.post("/v1/score", json={"prompt": "p", "answer": "a", field: ["b"]})
        assert message(response, 422) == f"{field}: Extra inputs are not permitted"


def test_error_messages_do_not_repeat_texts(client: TestClient) -> None:
    secret = "a secret prompt"
    for body in ({"prompt": secret, "answers": secret}, {"prompt": [secret, 3], "answers": [secret, {secret: 1}]}):
        response = client.post("/v1/compare", json=body)
        assert response.status_code == 422
        assert secret not in response.text


def test_bodies_that_are_not_json(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    assert "not JSON" in message(client.post("/v1/compare", content=b'{"prompt":', headers=headers), 422)
    assert client.post("/v1/compare", content=b"\xff\xfe", headers=headers).status_code in (400, 422)
    assert "Send application/json" in message(client.post("/v1/compare", content=json.dumps(ASK)), 422)
    assert client.post("/v1/compare", content=b"[" * 100_000, headers=headers).status_code in (400, 422)


def test_lone_surrogates_and_nul_are_repaired(client: TestClient, judge: FakeJudge) -> None:
    body = b'{"prompt": "broken \\ud83d", "answers": ["good", "ba\\uD83Dd"], "swap": "none"}'
    response = client.post("/v1/compare", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200
    assert judge.passes == [["broken \ufffd"]]
    whole = b'{"prompt": "whole \\ud83d\\ude00", "answers": ["good", "bad"], "swap": "none"}'
    client.post("/v1/compare", content=whole, headers={"content-type": "application/json"})
    assert judge.passes[1] == ["whole \N{GRINNING FACE}"]
    client.post("/v1/compare", json={"prompt": "a\0b", "answers": ["good", "bad"], "swap": "none"})
    assert judge.passes[2] == ["a\ufffdb"]


def test_unknown_paths_and_methods(client: TestClient) -> None:
    assert "/v2/compare does not exist. See /openapi.json" in message(client.get("/v2/compare"), 404)
    response = client.get("/v1/compare")
    assert message(response, 405) == "GET is not allowed for /v1/compare. Use POST."
    assert response.headers["allow"] == "POST"


def test_bodies_have_a_limit(judge: FakeJudge) -> None:
    with TestClient(create_app(judge, name="fake", limits=Limits(body_bytes=200), grace=1)) as client:
        assert client.post("/v1/compare", json=ASK).status_code == 200
        assert "larger than 200 bytes" in message(client.post("/v1/compare", json=ASK | {"prompt": "p" * 300}), 413)

        def parts() -> Iterator[bytes]:
            for _ in range(100):
                yield b" " * 10

        headers = {"content-type": "application/json"}
        assert message(client.post("/v1/compare", content=parts(), headers=headers), 413)
    assert len(judge.passes) == 1


def test_requests_have_a_limit_of_texts(judge: FakeJudge) -> None:
    with TestClient(create_app(judge, name="fake", limits=Limits(texts=5), grace=1)) as client:
        assert client.post("/v1/compare/batch", json={"comparisons": [ASK] * 2}).status_code == 200
        reason = message(client.post("/v1/compare/batch", json={"comparisons": [ASK] * 3}), 413)
        assert "would read 6 texts for this request, over the limit of 5" in reason
        assert client.post("/v1/rank", json={"prompt": "p", "answers": ["good"] * 6}).status_code == 413


def test_a_failing_model_is_a_readable_error(client: TestClient) -> None:
    body = ASK | {"answers": ["poison", "bad"]}
    response = TestClient(client.app, raise_server_exceptions=False).post("/v1/compare", json=body)
    assert "See its log" in message(response, 500)
    assert "poisoned" not in response.text
    assert client.post("/v1/compare", json=ASK).status_code == 200


def test_a_text_that_the_judges_template_refuses_is_the_requests_error(client: TestClient) -> None:
    response = client.post("/v1/compare", json=ASK | {"answers": ["refused", "bad"]})
    assert message(response, 422) == "the chat template refuses a conversation"


def test_every_path_but_health_checks_and_the_page_needs_the_key(judge: FakeJudge) -> None:
    with TestClient(create_app(judge, name="fake", api_key="let me in", grace=1)) as client:
        for path in ("/healthz", "/readyz", "/health", "/"):
            assert client.get(path).status_code == 200
        for path in ("/healthz", "/readyz", "/health"):
            assert client.head(path).status_code == 200
        for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": "let me in"}):
            response = client.post("/v1/compare", json=ASK, headers=headers)
            assert "Authorization: Bearer KEY" in message(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
            for path in ("/metrics", "/openapi.json", "/v1/model"):
                assert client.get(path, headers=headers).status_code == 401
        assert client.get("/metrics", headers={"authorization": "bearer let me in"}).status_code == 200
        good = {"authorization": "Bearer let me in"}
        assert client.post("/v1/compare", json=ASK, headers=good).status_code == 200
        assert client.get("/metrics", headers=good).status_code == 200


def test_the_served_model(client: TestClient) -> None:
    model = client.get("/v1/model").json()
    assert (model["name"], model["kind"], model["gives_rewards"]) == ("fake", "pairwise", False)
    assert model["limits"]["tokens"] == 1000
    assert model["verdict"] is None
    described = client.get("/openapi.json").json()
    assert {"/v1/compare", "/v1/score", "/v1/rank", "/v1/model", "/healthz"} <= set(described["paths"])
    for path, methods in described["paths"].items():
        if path.startswith("/v1/") and "post" in methods and methods["post"]["tags"] == ["Tiebreak"]:
            schema = methods["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert described["components"]["schemas"][schema]["examples"], path


def test_examples_in_the_description_work(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    for path in ("/v1/compare", "/v1/compare/batch", "/v1/rank"):
        reference = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for example in described["components"]["schemas"][reference.rpartition("/")[2]]["examples"]:
            assert client.post(path, json=example).status_code == 200


def test_the_page_may_load_nothing_from_other_servers(client: TestClient) -> None:
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert response.headers["x-content-type-options"] == "nosniff"


def test_metrics_count_requests_and_contain_no_text(client: TestClient) -> None:
    client.post("/v1/compare", json=ASK | {"prompt": "never to be seen"})
    client.get("/nowhere/never-to-be-seen")
    text = client.get("/metrics").text
    assert 'tiebreak_requests_total{path="/v1/compare",status="200"} 1.0' in text
    assert 'tiebreak_requests_total{path="other",status="404"} 1.0' in text
    assert "tiebreak_pass_rows_sum 1.0" in text
    assert "tiebreak_texts 0.0" in text
    assert "never" not in text


async def call(app: Any, body: bytes, *, leave: asyncio.Event | None = None) -> list[dict[str, Any]]:
    """The messages that answer a request whose client disconnects when `leave` is set."""
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if parts:
            return parts.pop()
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/compare", "raw_path": b"/v1/compare", "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http",
        "server": ("test", 80), "client": ("test", 1), "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


async def until_in_flight(app: Any, requests: int) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        while f"\ntiebreak_requests_under_way {requests:.1f}\n" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0)


def test_requests_of_clients_that_disconnect_are_dropped(judge: FakeJudge) -> None:
    async def scene() -> tuple[list[Any], list[Any]]:
        app = create_app(judge, name="fake", grace=1)
        judge.gate.clear()
        held = asyncio.create_task(call(app, json.dumps(ASK | {"prompt": "held"}).encode()))
        await asyncio.to_thread(judge.begun.acquire, timeout=5)
        leave = asyncio.Event()
        gone = asyncio.create_task(call(app, json.dumps(ASK | {"prompt": "gone"}).encode(), leave=leave))
        await asyncio.wait_for(until_in_flight(app, 2), 5)
        leave.set()
        sent = await asyncio.wait_for(gone, 5)
        judge.gate.set()
        return sent, await asyncio.wait_for(held, 5)

    sent, answered = asyncio.run(scene())
    assert sent == []
    assert answered[0]["status"] == 200
    assert judge.passes == [["held", "held"]]


def test_a_full_queue_answers_with_retry_after(judge: FakeJudge) -> None:
    async def scene() -> list[list[dict[str, Any]]]:
        app = create_app(judge, name="fake", limits=Limits(queue=3), grace=1)
        judge.gate.clear()
        first = asyncio.create_task(call(app, json.dumps(ASK).encode()))
        await asyncio.to_thread(judge.begun.acquire, timeout=5)
        second = await call(app, json.dumps(ASK).encode())
        judge.gate.set()
        return [await first, second]

    answered, refused = asyncio.run(scene())
    assert answered[0]["status"] == 200
    assert refused[0]["status"] == 429
    assert (b"retry-after", b"1") in refused[0]["headers"]
    assert b"Queue is full (2 of 3 texts)" in refused[1]["body"]


def test_the_time_limit(judge: FakeJudge) -> None:
    async def scene() -> list[dict[str, Any]]:
        app = create_app(judge, name="fake", limits=Limits(seconds=0.1), grace=1)
        judge.gate.clear()
        try:
            return await asyncio.wait_for(call(app, json.dumps(ASK).encode()), 5)
        finally:
            judge.gate.set()

    answered = asyncio.run(scene())
    assert answered[0]["status"] == 504
    assert b"not judged within 0.1 seconds" in answered[1]["body"]


def test_a_tournament_stops_after_its_request() -> None:
    judge = FakeJudge()

    async def scene() -> None:
        served = JudgeService(judge, "fake", Limits(seconds=0.1))
        judge.gate.clear()
        with pytest.raises(Exception, match="within"):
            await served.rank([Conversation(("p",), (f"{i}",)) for i in range(20)])
        judge.gate.set()
        await asyncio.to_thread(served._tournaments.shutdown)  # when its thread has ended
        assert served.in_flight.requests == 0
        assert served.drain(5)

    asyncio.run(scene())
    assert len(judge.passes) == 1  # a tournament of 20 has several rounds
