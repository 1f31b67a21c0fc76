"""Errors in the format of each compatibility API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.unit.serving.judges import FakeJudge
from tiebreak.serving import Limits, create_app
from tiebreak.serving.compat import error_body
from tiebreak.serving.errors import BusyError, DrainingError, TimedOutError, UnauthorizedError

CHAT = "<start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\ngood<end_of_turn>\n"
VLLM = ("/classify", "/v1/classify", "/pooling", "/score", "/rerank", "/v1/rerank", "/v2/rerank")
OWN = ("/get_reward", "/v1/score/evaluation", "/v1/score", "/v1/compare")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(FakeJudge(rewards=True), name="fake", grace=1)) as client:
        yield client


def refused(client: TestClient, path: str, body: Any, status: int = 422) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == status, response.text
    return response.json()


def test_error_formats(client: TestClient) -> None:
    for path in VLLM:
        error = refused(client, path, {"nothing": 1})["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert (error["type"], error["param"], error["code"]) == ("BadRequestError", None, 422)
    found = refused(client, "/predict", {})
    assert found == {"error": "inputs: Field required", "error_type": "validation"}
    for path in OWN:
        assert refused(client, path, {})["error"].keys() == {"message", "type", "code"}
    assert client.post("/predict", content=b"{", headers={"content-type": "application/json"}).json()["error_type"]


@pytest.mark.parametrize(
    ("error", "vllm", "tei"),
    [
        (BusyError(9, 9), "Too Many Requests", "overloaded"),
        (DrainingError(), "Service Unavailable", "unhealthy"),
        (TimedOutError(9), "Gateway Timeout", "backend"),
        (UnauthorizedError(), "Unauthorized", "validation"),
    ],
)
def test_error_types(error: Any, vllm: str, tei: str) -> None:
    assert error_body("/classify", error) == {
        "error": {"message": str(error), "type": vllm, "param": None, "code": error.status}
    }
    assert error_body("/predict", error) == {"error": str(error), "error_type": tei}


def test_errors_before_the_route() -> None:
    app = create_app(FakeJudge(rewards=True), name="fake", grace=1, api_key="k", limits=Limits(texts=2))
    with TestClient(app) as client:
        assert refused(client, "/predict", {}, 401)["error_type"] == "validation"
        assert refused(client, "/rerank", {}, 401)["error"]["code"] == 401
        client.headers["authorization"] = "Bearer k"
        assert "3 texts" in refused(client, "/predict", {"inputs": [[CHAT]] * 3}, 413)["error"]
        body = {"query": "q", "documents": ["a"] * 3}
        assert refused(client, "/rerank", body, 413)["error"]["type"] == "BadRequestError"
        assert client.post("/rerank", json=body | {"documents": ["a"] * 2}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/classify", {"input": CHAT}),
        ("/pooling", {"input": CHAT}),
        ("/score", {"text_1": "q", "text_2": "good"}),
        ("/v1/score", {"text_1": "q", "text_2": "good"}),
        ("/rerank", {"query": "q", "documents": ["good"]}),
    ],
)
def test_the_name_of_another_model(client: TestClient, path: str, body: dict[str, Any]) -> None:
    error = refused(client, path, body | {"model": "gpt-4"}, 404)["error"]
    assert "Name fake, or leave the model out" in error["message"]
    assert error["type"] == ("not_found" if path == "/v1/score" else "NotFoundError")
    for name in (None, "", "fake"):
        assert client.post(path, json=body | {"model": name}).status_code == 200


def test_the_models_that_are_served(client: TestClient) -> None:
    [model] = client.get("/v1/models").json()["data"]
    assert (model["id"], model["object"], model["max_model_len"]) == ("fake", "model", 1000)


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/classify", [], "vLLM: Input should be a valid dictionary"),
        ("/classify", {"input": 7}, "vLLM.input: give a text, a list of texts, token ids, or lists of token ids"),
        ("/classify", {"input": [1, "a"]}, "vLLM.input: give a text"),
        ("/classify", {"input": []}, "vLLM.input: give a text"),
        ("/classify", {"input": [[]]}, "vLLM.input: give a text"),
        ("/classify", {"input": [-1]}, "vLLM.input: give a text"),
        ("/classify", {"input": [True]}, "vLLM.input: give a text"),
        ("/classify", {"messages": [{"role": "user"}]}, "vLLM messages.messages.0.content: Field required"),
        ("/classify", {"text": [7]}, "SGLang.text: give a text, or a list of texts"),
        ("/classify", {"input": CHAT, "truncate_prompt_tokens": -2}, "truncate_prompt_tokens"),
        ("/classify", {"input": CHAT, "use_activation": "yes"}, "use_activation: Input should be a valid boolean"),
        ("/classify", {"input": ["good"]}, "template of a text is unknown"),
        ("/rerank", {"query": "q", "documents": []}, "vLLM.documents: give a list of texts"),
        ("/rerank", {"query": "q", "texts": []}, "TEI.texts: List should have at least 1 item"),
        ("/rerank", {"query": ["q"], "texts": ["a"]}, "TEI.query: Input should be a valid string"),
        ("/predict", {"inputs": ["a", "b", "c"]}, "inputs: give a text, a pair [prompt, answer], or a batch"),
        ("/predict", {"inputs": [["a"], "b"]}, "inputs: give a text, a pair [prompt, answer], or a batch"),
        ("/get_reward", {"query": "q"}, "query: Input should be a valid list"),
        ("/get_reward", {"query": []}, "query: List should have at least 1 item"),
        ("/v1/score/evaluation", {"messages": [{"role": "user"}]}, "messages.0: Input should be a valid string"),
    ],
)  # fmt: skip
def test_error_messages(client: TestClient, path: str, body: Any, reason: str) -> None:
    error = refused(client, path, body)["error"]
    assert reason in (error if isinstance(error, str) else error["message"])


def test_unknown_fields_are_ignored(client: TestClient) -> None:
    more = {
        "user": "u", "priority": 0, "encoding_format": "float", "add_special_tokens": False, "truncation_side": "left",
        "rid": "1", "lora_path": None, "parameters": {}, "truncation_direction": "Right",
    }  # fmt: skip
    for path, body in (
        ("/classify", {"input": CHAT}),
        ("/classify", {"text": CHAT}),
        ("/pooling", {"input": CHAT, "task": "classify"}),
        ("/score", {"text_1": "q", "text_2": "good"}),
        ("/rerank", {"query": "q", "documents": ["good"]}),
        ("/rerank", {"query": "q", "texts": ["good"]}),
        ("/predict", {"inputs": CHAT}),
        ("/get_reward", {"query": [CHAT], "prompts": []}),
        ("/v1/score/evaluation", {"model": "model", "messages": [CHAT]}),
    ):
        assert client.post(path, json=body | more).status_code == 200, (path, body)


def test_mixed_inputs_keep_their_order(client: TestClient) -> None:
    """Texts of either form in one request."""
    texts = ["Q p A bad end", CHAT, "Q p A fair end", "<bos>Q p A good end"]
    found = client.post("/classify", json={"input": texts}).json()["data"]
    assert [one["probs"] for one in found] == [[-1.0], [2.0], [1.0], [2.0]]
    assert client.post("/predict", json={"inputs": [[t] for t in texts], "raw_scores": True}).json() == [
        [{"score": score, "label": "reward"}] for score in (-1.0, 2.0, 1.0, 2.0)
    ]


def test_a_judge_without_a_language_model() -> None:
    """Baselines and blends compare messages, and read no rendered texts."""
    judge = FakeJudge()
    judge._reads = None  # type: ignore[assignment]
    messages = [{"role": "user", "content": "q"}, {"role": "response_a", "content": "good"}]
    body = {"messages": [*messages, {"role": "response_b", "content": "bad"}]}
    with TestClient(create_app(judge, name="fake", grace=1)) as client:
        [found] = client.post("/classify", json=body).json()["data"]
        assert (found["label"], found["num_classes"]) == ("model_a", 3)
        assert sum(found["probs"]) == pytest.approx(1)
        assert "no logits" in refused(client, "/classify", body | {"use_activation": False})["error"]["message"]
        assert "no language model" in refused(client, "/classify", {"input": [1, 2]})["error"]["message"]
        assert "template of a text is unknown" in refused(client, "/predict", {"inputs": "Q p A a end"})["error"]
        assert client.get("/v1/models").json()["data"][0]["max_model_len"] is None


def test_every_route_is_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in (*VLLM, "/predict", "/get_reward", "/v1/score/evaluation", "/v1/models"):
        for operation in paths[path].values():
            assert operation["tags"]
            assert operation["summary"]
            assert {"401", "413", "422", "429", "503", "504"} <= operation["responses"].keys()
