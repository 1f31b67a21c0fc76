"""The clients with a real server, compared with the judge that it serves."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import uvicorn

from tests.integration.conftest import small_votes
from tiebreak import AsyncClient, Client, Judge, ModelError, ServerError, load_judge, reward_function
from tiebreak.client import transport
from tiebreak.rewards.reward_function import pairwise_rewards
from tiebreak.serving import Limits, create_app
from tiebreak.training import TrainingResult

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

VOTES = small_votes(30, first=90)
SIDES = [side for vote in VOTES for side in vote.conversations]
PROMPT = "question 1 ?"
ANSWERS = ["bad answer", "good answer", "good good", "bad answer"]
ROWS = [((PROMPT,), [(answer,) for answer in ANSWERS[:n]]) for n in (1, 2, 4)]
FRAME = pd.DataFrame(
    {"prompt": ["question 1 ?", "question 2 ?"], "response_a": ["good", 7], "response_b": ["bad", "plain"]},
    index=["x", "y"],
)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The URL of an app on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module", params=["small_run", "small_rewards"])
def judge(request: pytest.FixtureRequest) -> Judge:
    result: TrainingResult = request.getfixturevalue(request.param)
    return load_judge(result.folder.path)


@pytest.fixture(scope="module")
def url(judge: Judge) -> Iterator[str]:
    with served(create_app(judge, name="small", api_key="secret", limits=Limits(texts=16))) as url:
        yield url


def numbers(values: Any) -> np.ndarray:
    """All the numbers in verdicts, scores or rankings."""
    return np.array([x for value in values for part in astuple(value) for x in np.ravel(part) if x is not None])


ASKED: dict[str, Callable[[Any], Any]] = {
    "compare": lambda j: j.compare(PROMPT, "good", "bad", swap="average"),
    "compare, turns": lambda j: j.compare(["question ?", "good ?"], ["a", "b"], ["b", "\ud800 a"]),
    "compare_many": lambda j: j.compare_many(VOTES),
    "compare_many, both orders": lambda j: j.compare_many(VOTES, swap="average"),
    "compare_many, uncertain": lambda j: j.compare_many(VOTES, swap="uncertain:0.33"),
    "compare_many, none": lambda j: j.compare_many([]),
    "compare_orders": lambda j: j.compare_orders(VOTES),
    "rank": lambda j: j.rank(PROMPT, ANSWERS),
    "rank_many": lambda j: j.rank_many(ROWS, swap="none"),
}
SCORED: dict[str, Callable[[Any], Any]] = {
    "score": lambda j: j.score(PROMPT, "good answer"),
    "score_many": lambda j: j.score_many(SIDES),
}


async def awaited(url: str, ask: Callable[[Any], Any]) -> Any:
    async with AsyncClient(url, "secret") as client:
        return await ask(client)


@pytest.mark.parametrize("what", [*ASKED, *SCORED])
def test_results_are_those_of_the_judge(judge: Judge, url: str, what: str) -> None:
    ask = (ASKED | SCORED)[what]
    with Client(url, "secret") as client:
        if what in SCORED and not judge.gives_rewards:
            with pytest.raises(ModelError, match=r"small at http://.* is a pairwise judge.*model\.head=pointwise"):
                ask(client)
            return
        blocking = ask(client)
    expected = ask(judge)
    for found in (blocking, asyncio.run(awaited(url, ask))):
        assert type(found) is type(expected)
        if isinstance(expected, list):
            assert [type(one) for one in found] == [type(one) for one in expected]
            assert len(found) == len(expected)
        flat = [list(np.ravel(np.array(x, dtype=object))) if isinstance(x, list) else [x] for x in (found, expected)]
        np.testing.assert_allclose(numbers(flat[0]), numbers(flat[1]), atol=1e-6)


def test_frames(judge: Judge, url: str) -> None:
    expected = judge.compare_frame(FRAME)
    with Client(url, "secret") as client:
        pd.testing.assert_frame_equal(client.compare_frame(FRAME), expected, atol=1e-6)
    pd.testing.assert_frame_equal(asyncio.run(awaited(url, lambda j: j.compare_frame(FRAME))), expected, atol=1e-6)


def test_it_is_a_judge(judge: Judge, url: str) -> None:
    """A client can be used wherever a judge can: here to compute rewards from a pairwise judge."""
    with Client(url, "secret") as client:
        assert (client.gives_rewards, client.is_symmetric) == (judge.gives_rewards, judge.is_symmetric)
        for swap in ("none", "average", "uncertain:0.33"):
            texts: list[int] = []
            client.compare_many(VOTES, swap=swap, on_progress=texts.append)
            assert sum(texts) == client.texts(30, swap) == judge.texts(30, swap)
        assert pairwise_rewards(client, SIDES, "none") == pytest.approx(
            pairwise_rewards(judge, SIDES, "none"), abs=1e-6
        )
        asked, replied = [side.prompt[0] for side in SIDES], [side.answer[-1] for side in SIDES]
        wanted = reward_function(judge)(asked, replied)
        assert reward_function(client)(asked, replied) == pytest.approx(wanted, abs=1e-6)
        with pytest.raises(ValueError, match="swap is 'both'"):
            client.compare_many(VOTES, swap="both")
        with pytest.raises(TypeError, match="prompt is 7"):
            client.compare(7, "a", "b")  # type: ignore[arg-type]
        long = "good " * 3000
        cut = client.compare(PROMPT, long, "bad", swap="average")
        assert cut.tokens_lost == judge.compare(PROMPT, long, "bad", swap="average").tokens_lost > 0
        if judge.gives_rewards:
            assert client.score(PROMPT, long).tokens_lost == judge.score(PROMPT, long).tokens_lost > 0
        assert client.rank(PROMPT, [long, "bad"]).tokens_lost == judge.rank(PROMPT, [long, "bad"]).tokens_lost > 0
        model = client.model()
    assert (model.name, model.gives_rewards, model.limits.texts) == ("small", judge.gives_rewards, 16)


def test_the_key(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIEBREAK_API_KEY", "another")
    with Client(url) as client, pytest.raises(ServerError, match=r"401: the API key.*TIEBREAK_API_KEY") as refused:
        client.model()
    assert (refused.value.status, refused.value.type) == (401, "unauthorized")
    monkeypatch.setenv("TIEBREAK_API_KEY", "secret\n")
    with Client(url) as client:
        assert client.model().name == "small"


def test_a_busy_server_is_retried(small_run: TrainingResult, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that meet a full queue are answered after retries."""
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    judge = load_judge(small_run.folder.path)
    app = create_app(judge, name="small")
    refused: list[str] = []

    async def busy_first(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(refused) < 3 and scope["path"] == "/v1/compare/batch":
            refused.append(scope["path"])
            await send({"type": "http.response.start", "status": 429, "headers": [(b"retry-after", b"0")]})
            await send({"type": "http.response.body", "body": b"{}"})
        else:
            await app(scope, receive, send)

    with served(busy_first) as url, Client(url) as client:
        found = client.compare_many(VOTES)
    assert len(refused) == 3
    np.testing.assert_allclose(numbers(found), numbers(judge.compare_many(VOTES)), atol=1e-6)


def test_the_examples_in_the_documentation(small_rewards: TrainingResult, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/serving.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    app = create_app(load_judge(small_rewards.folder.path), name="small", api_key="secret")
    with served(app) as url:
        for example in examples:
            exec(example.replace("http://127.0.0.1:8000", url), {})
    printed = capsys.readouterr().out.split("\n")
    assert printed[0].split()[0] in ("model_a", "model_b", "tie")
    assert printed[3] == "small"
