"""Both clients, against servers that answer as a test wants."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from unittest import mock

import httpx2
import pytest

from tiebreak import AsyncClient, Client, Comparison, ComparisonsError, Conversation, ModelError, ServerError
from tiebreak.client import transport

URL = "http://judge.example"
BUSY = {"error": {"message": "Queue is full (9 of 8 texts).", "type": "busy", "code": 429}}


def model(**limits: int) -> dict[str, Any]:
    known = {"body_bytes": 1 << 20, "texts": 4096, "tokens": 1024, "queue": 8192, "seconds": 180.0}
    return {
        "name": "served", "tiebreak": "0.1.0", "kind": "pairwise", "gives_rewards": False, "base_model": None,
        "calibration": None, "metrics": None, "recipe": None, "limits": known | limits, "something_new": 1,
    }  # fmt: skip


def refusal(status: int, kind: str, message: str = "It is refused.", **headers: str) -> httpx2.Response:
    body = {"error": {"message": message, "type": kind, "code": status}}
    return httpx2.Response(status, json=body, headers=headers)


def comparisons(count: int) -> list[Comparison]:
    return [Comparison((f"{i}",), ("a",), ("b",)) for i in range(count)]


def verdict(pair: dict[str, Any]) -> dict[str, Any]:
    """With the number of the comparison as its probability of A."""
    probabilities = {"model_a": float(pair["prompt"][0]), "model_b": 0.0, "tie": 0.0}
    return {"probabilities": probabilities, "orders": None, "rewards": None, "tokens_read": 3, "tokens_lost": 0}


class Server:
    """Answers comparisons, and records the requests.

    Args:
        refuses: answers a request instead of the server, unless it returns None.
        limits: as in `model`.
    """

    def __init__(self, refuses: Callable[[list[Any]], httpx2.Response | None] | None = None, **limits: int) -> None:
        self.refuses = refuses
        self.limits = limits
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []
        self._lock = threading.Lock()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.keys.append(request.headers.get("authorization"))
        if request.url.path.endswith("/v1/model"):
            return httpx2.Response(200, json=model(**self.limits))
        pairs = json.loads(request.content)["comparisons"]
        with self._lock:
            self.bodies.append(request.content)
            refused = self.refuses(pairs) if self.refuses else None
        return refused or httpx2.Response(200, json={"verdicts": [verdict(pair) for pair in pairs]})

    def client(self, **options: Any) -> Client:
        return Client(URL, transport=httpx2.MockTransport(self), **options)

    def sizes(self) -> list[int]:
        return [len(json.loads(body)["comparisons"]) for body in self.bodies]


def tries(*outcomes: httpx2.Response | httpx2.RequestError, allowed: int = 5) -> tuple[Any, list[float]]:
    """What a request with these outcomes results in, and the waits between its attempts."""
    coming = iter(outcomes)

    def answer(request: httpx2.Request) -> httpx2.Response:
        outcome = next(coming)
        if isinstance(outcome, httpx2.RequestError):
            raise outcome
        return httpx2.Response(outcome.status_code, headers=outcome.headers, content=outcome.content)

    async def ask() -> Any:
        async with AsyncClient(URL, retries=allowed, transport=httpx2.MockTransport(answer)) as client:
            try:
                return await client._request(transport.Request("POST", "/v1/compare/batch", b"{}"))
            except ServerError as error:
                return error

    with mock.patch("tiebreak.client.async_client.asyncio.sleep") as sleep:
        result = asyncio.run(ask())
    return result, [call.args[0] for call in sleep.await_args_list]


FINE = httpx2.Response(200, json={"fine": True})


@pytest.mark.parametrize(
    "failing",
    [
        httpx2.Response(429, json=BUSY),
        refusal(503, "shutting_down"),
        httpx2.Response(502, text="<h1>Bad Gateway</h1>"),
        httpx2.Response(504, text="upstream"),
        httpx2.ConnectError("Connection refused"),
        httpx2.ConnectTimeout("timed out"),
        httpx2.ReadError("reset"),
        httpx2.RemoteProtocolError("Server disconnected"),
    ],
)
def test_temporary_failures_are_retried_with_exponential_backoff(
    failing: httpx2.Response | httpx2.RequestError,
) -> None:
    found, waits = tries(failing, failing, failing, failing, FINE)
    assert found == {"fine": True}
    for attempt, wait in enumerate(waits):
        assert 0.25 * 2**attempt <= wait <= 0.5 * 2**attempt
    assert len(waits) == 4
    error, waits = tries(*[failing] * 3, allowed=2)
    assert isinstance(error, ServerError)
    assert "(Tried 3 times.)" in str(error)
    assert len(waits) == 2


@pytest.mark.parametrize(
    "failing",
    [
        *(refusal(status, "invalid_request") for status in (400, 401, 404, 413, 422, 500)),
        refusal(504, "timed_out"),
        refusal(503, "out_of_memory"),
        httpx2.ReadTimeout("timed out"),
        httpx2.UnsupportedProtocol("no"),
        httpx2.LocalProtocolError("no"),
        httpx2.Response(302, headers={"location": "https://elsewhere"}),
    ],
)
def test_permanent_failures_are_not_retried(failing: httpx2.Response | httpx2.RequestError) -> None:
    error, waits = tries(failing)
    assert isinstance(error, ServerError)
    assert waits == []
    assert "Tried" not in str(error)


def test_retry_after() -> None:
    _, waits = tries(refusal(429, "busy", **{"retry-after": "7"}), refusal(429, "busy"), FINE)
    assert 7.25 <= waits[0] <= 7.5
    assert 0.5 <= waits[1] <= 1.0
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    _, [wait] = tries(refusal(503, "shutting_down", **{"retry-after": date}), FINE)
    assert 20 <= wait <= 30.5
    for odd in ("soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT", ""):
        _, [wait] = tries(refusal(429, "busy", **{"retry-after": odd}), FINE)
        assert wait <= 0.5
    error, waits = tries(refusal(503, "shutting_down", **{"retry-after": "3600"}))
    assert waits == []
    assert error.status == 503


def test_backoff_is_bounded_and_has_jitter() -> None:
    busy = httpx2.Response(429)
    assert transport.retry_delay(50, busy, lambda: 1.0) == transport.LONGEST_WAIT
    drawn = {transport.retry_delay(3, busy) for _ in range(200)}
    assert len(drawn) > 150
    assert 2.0 <= min(drawn) < 2.3
    assert 3.7 < max(drawn) <= 4.0


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (
            refusal(422, "invalid_request", "answers[0] has 2 turns."),
            r"batch answered with status 422: answers\[0\] has",
        ),
        (refusal(401, "unauthorized"), r"401: the API key is missing or wrong\. Give the client .*TIEBREAK_API_KEY"),
        (httpx2.ReadTimeout(""), r"judge\.example did not answer .* in time\. Send less at a time, or .*timeout"),
        (httpx2.ConnectError("Name or service not known"), r"cannot be reached: Name or service.*Check the URL"),
        (httpx2.ConnectError(""), r"cannot be reached: ConnectError\. Check"),
        (httpx2.RemoteProtocolError("Server disconnected."), r"cannot be reached: Server disconnected\. Check"),
        (
            httpx2.Response(302, headers={"location": "https://x"}),
            r"302, a redirect to https://x\. Give the client the final URL",
        ),
        (httpx2.Response(500, html="<p>Oops"), r"500, but not in the format of a Tiebreak server: text/html"),
        (httpx2.Response(404, json={"detail": "Not Found"}), r"""404, but not.*'\{"detail":"Not Found"\}' \(app"""),
        (httpx2.Response(200, html="<p>Welcome to nginx"), r"expected JSON, got text/html.*Check the URL"),
        (httpx2.Response(200, text="x" * 9999), r"expected JSON, got 'x{200}' \(text/plain"),
        (httpx2.Response(204), r"expected JSON, got no content type"),
    ],
)
def test_error_messages(outcome: httpx2.Response | httpx2.RequestError, words: str) -> None:
    error, _ = tries(outcome, allowed=0)
    with pytest.raises(ServerError, match=words):
        raise error


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://host", "http://", "http://[::1", "judge"])
def test_a_wrong_url_is_refused_by_the_constructor(url: str) -> None:
    for client in (Client, AsyncClient):
        with pytest.raises(ServerError, match=r"is not (a|the) URL"):
            client(url)


def test_no_concurrent_requests_are_refused() -> None:
    for client in (Client, AsyncClient):
        with pytest.raises(ValueError, match="at_once is 0"):
            client(URL, at_once=0)


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it() -> None:
    with pytest.raises(ServerError, match="one line") as refused:
        Client(URL, "sec\nret")
    assert "ret" not in str(refused.value)
    with Server().client(api_key="schlüssel") as client:
        assert "schl" not in repr(client)
        client.model()


def test_the_key_comes_from_the_argument_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIEBREAK_API_KEY", raising=False)
    server = Server()
    server.client().model()
    monkeypatch.setenv("TIEBREAK_API_KEY", "kept")
    server.client().model()
    server.client(api_key="given").model()
    assert server.keys == [None, "Bearer kept", "Bearer given"]


def test_a_path_in_the_url_is_kept() -> None:
    paths: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        paths.append(str(request.url))
        return httpx2.Response(200, json=model())

    Client("https://host/judges/one/", transport=httpx2.MockTransport(answer)).model()
    assert paths == ["https://host/judges/one/v1/model"]


@pytest.mark.parametrize("odd", [{"data": []}, [], 7, model() | {"limits": 3}, {"verdicts": []}])
def test_a_server_of_another_kind(odd: Any) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=odd)

    with (
        Client(URL, transport=httpx2.MockTransport(answer)) as client,
        pytest.raises(ServerError, match="does not answer like a Tiebreak server"),
    ):
        client.compare("p", "a", "b")


def test_too_few_results_are_refused() -> None:
    server = Server(lambda pairs: httpx2.Response(200, json={"verdicts": [verdict(pair) for pair in pairs[1:]]}))
    with server.client() as client, pytest.raises(ServerError, match="1 results for 2 rows"):
        client.compare_many(comparisons(2))


def test_many_rows_go_in_parts_and_come_back_in_order() -> None:
    """Four requests at a time: none of the first four is answered before all of them have arrived."""
    together = threading.Barrier(4)

    def wait(pairs: Sequence[Any]) -> None:
        if int(pairs[0]["prompt"][0]) < 256:
            together.wait(10)

    server = Server()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            wait(json.loads(request.content)["comparisons"])
        return server(request)

    done: list[int] = []
    with Client(URL, transport=httpx2.MockTransport(answer)) as client:
        found = client.compare_many(comparisons(300), on_progress=done.append)
    assert [v.model_a for v in found] == list(range(300))
    assert sorted(server.sizes()) == [44, 64, 64, 64, 64]
    assert sorted(done) == sorted(server.sizes())


def test_parts_are_within_the_servers_limits() -> None:
    for limits, largest in (({"texts": 10}, 10), ({"queue": 20}, 5), ({"body_bytes": 1024 + 42 * 3}, 3)):
        server = Server(None, **limits)
        with server.client() as client:
            assert [v.model_a for v in client.compare_many(comparisons(23))] == list(range(23))
        assert max(server.sizes()) == largest
    server = Server(texts=10)
    with server.client() as client:
        client.compare_many(comparisons(23), swap="average")
    assert max(server.sizes()) == 5
    assert b'"swap":"average"' in server.bodies[0]


def test_requests_too_large_for_a_proxy_are_sent_in_halves() -> None:
    server = Server(lambda pairs: httpx2.Response(413, html="<h1>nginx") if len(pairs) > 10 else None)
    with server.client() as client:
        assert [v.model_a for v in client.compare_many(comparisons(64))] == list(range(64))
        assert max(size for size in server.sizes() if size <= 10) == 8
    server = Server(lambda pairs: refusal(413, "too_large", "The body is larger than it may be."))
    with server.client() as client, pytest.raises(ServerError, match="larger than it may be") as refused:
        client.compare_many(comparisons(2))
    assert refused.value.status == 413


def test_the_first_error_stops_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither client waits for the long pause before a retry that is no longer needed."""
    monkeypatch.setattr(transport, "FIRST_WAIT", 50.0)

    def refuses(pairs: Sequence[Any]) -> httpx2.Response:
        first = pairs[0]["prompt"][0] == "64"
        return refusal(422, "invalid_request", "No.") if first else httpx2.Response(503)

    server = Server(refuses)
    with server.client() as client, pytest.raises(ServerError, match=r"No\."):
        client.compare_many(comparisons(1000))
    assert len(server.bodies) < 10

    async def ask() -> None:
        async with AsyncClient(URL, transport=httpx2.MockTransport(server)) as client:
            await client.compare_many(comparisons(1000))

    with pytest.raises(ServerError, match=r"No\."):
        asyncio.run(ask())


def test_concurrent_requests_of_the_async_client_are_limited() -> None:
    most = under_way = 0
    server = Server()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        under_way -= 1
        return server(request)

    async def ask() -> list[float]:
        async with AsyncClient(URL, at_once=3, transport=httpx2.MockTransport(answer)) as client:
            return [v.model_a for v in await client.compare_many(comparisons(1000))]

    assert asyncio.run(ask()) == list(range(1000))
    assert most == 3


def test_both_clients_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.001)
    refused = 0

    def refuses(pairs: Sequence[Any]) -> httpx2.Response | None:
        nonlocal refused
        refused += 1
        return httpx2.Response(429, json=BUSY) if refused % 3 else None

    server = Server(refuses)
    with server.client() as client:
        assert client.compare("5", "a", "b").model_a == 5

    async def ask() -> float:
        async with AsyncClient(URL, transport=httpx2.MockTransport(server)) as client:
            return (await client.compare("5", "a", "b")).model_a

    assert asyncio.run(ask()) == 5
    assert refused == 6


def test_texts_that_utf8_cannot_hold_are_sent_repaired() -> None:
    server = Server()
    with server.client() as client:
        client.compare("1", "a\ud800", "日本\x00")
    sent = json.loads(server.bodies[0])["comparisons"]
    assert sent == [{"prompt": ["1"], "answers": [["a\ufffd"], ["日本\ufffd"]]}]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also in a process that was started in the background, which ignores it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_does_not_wait_for_requests_under_way() -> None:
    under_way = threading.Semaphore(0)
    release = threading.Event()
    server = Server()

    def answer(request: httpx2.Request) -> httpx2.Response:
        response = server(request)
        if request.method == "POST":
            under_way.release()
            release.wait(30)
        return response

    def interrupt() -> None:
        for _ in range(4):
            under_way.acquire(timeout=10)
        os.kill(os.getpid(), signal.SIGINT)

    client = Client(URL, transport=httpx2.MockTransport(answer))
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        client.compare_many(comparisons(1000))
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("tiebreak-client")]
    assert len(workers) == 4
    release.set()
    for worker in workers:
        worker.join(10)
    assert len(server.bodies) == 4  # the other parts are not sent


def test_the_client_works_inside_a_running_event_loop() -> None:
    async def notebook() -> list[float]:
        with Server().client() as client:
            return [v.model_a for v in client.compare_many(comparisons(100))]

    assert asyncio.run(notebook()) == list(range(100))


def test_progress_is_reported_in_the_callers_thread() -> None:
    threads: set[threading.Thread] = set()
    with Server().client() as client:
        client.compare_many(comparisons(300), on_progress=lambda _: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}


def test_invalid_arguments_are_refused_before_anything_is_sent() -> None:
    server = Server()
    with server.client() as client:
        with pytest.raises(ComparisonsError, match="Prompt 1 has no answers"):
            client.rank_many([(("p",), [("a",)]), (("p",), [])])
        with pytest.raises(ValueError, match="uncertain"):
            client.rank("p", ["a", "b"], swap="uncertain:0.5")
        with pytest.raises(ValueError, match="as many answers as prompts"):
            client.rank(["p", "q"], ["a"])
        with pytest.raises(TypeError, match="give a list of answers"):
            client.rank("p", "ab")
        with pytest.raises(ModelError, match="is a pairwise judge"):
            client.score_many([Conversation(("p",), ("a",))])
        with pytest.raises(ModelError, match="calibrated by its server"):
            client.recalibrated(None)
    assert server.bodies == []


def test_a_closed_client_says_so() -> None:
    client = Server().client()
    client.close()
    with pytest.raises(ServerError, match="is closed"):
        client.compare("1", "a", "b")


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/v1", f"{URL}/v1/"])
def test_the_url_may_end_in_v1(url: str) -> None:
    assert Client(url, transport=httpx2.MockTransport(Server())).compare("1", "a", "b").model_a == 1.0
