"""`tiebreak serve` in its own process, with valid clients, malformed requests and signals."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.integration.conftest import probabilities, small_votes, tiebreak
from tiebreak import load_judge
from tiebreak.training import TrainingResult
from tiebreak.types import Comparison


class Server:
    """A server on a free port."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tiebreak", "serve", *map(str, arguments), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"COLUMNS": "200"} | environment,
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert "Serving" in first, first + self.process.stdout.read()
        self.url = first.split(" at ")[1].split()[0]
        self.printed: list[str] = [first]
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        httpx2.get(f"{self.url}/readyz", timeout=30).raise_for_status()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.printed.extend(self.process.stdout)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit status, after a signal."""
        self.process.send_signal(number)
        status = self.process.wait(30)
        self._reading.join(5)
        return status

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="module")
def server(small_run: TrainingResult) -> Iterator[Server]:
    server = Server(small_run.folder.path, "--access-log")
    yield server
    server.kill()


def body(c: Comparison, **options: Any) -> dict[str, Any]:
    return {"prompt": c.prompt[0], "answers": [c.answer_a[0], c.answer_b[0]], **options}


def verdict_of(response: httpx2.Response) -> list[float]:
    response.raise_for_status()
    return list(response.json()["probabilities"].values())


def test_results_are_those_of_the_judge_whatever_the_load(server: Server, small_run: TrainingResult) -> None:
    asked = small_votes(60, first=700)
    expected = probabilities(load_judge(small_run.folder.path), asked, swap="average")
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        alone = np.array([verdict_of(client.post("/v1/compare", json=body(c))) for c in asked[:6]])
        with ThreadPoolExecutor(20) as threads:
            crowded = np.array(list(threads.map(lambda c: verdict_of(client.post("/v1/compare", json=body(c))), asked)))
        together = client.post("/v1/compare/batch", json={"comparisons": [body(c) for c in asked]}).json()
    assert np.abs(alone - expected[:6]).max() < 1e-6
    assert np.abs(crowded - expected).max() < 1e-6
    batch = np.array([list(v["probabilities"].values()) for v in together["verdicts"]])
    assert np.abs(batch - expected).max() < 1e-6


def test_malformed_requests_do_not_affect_valid_ones(server: Server, small_run: TrainingResult) -> None:
    """400 requests, along with others that are not HTTP, not JSON, cut off, or whose clients disconnect."""
    asked = small_votes(400, first=1000)
    expected = probabilities(load_judge(small_run.folder.path), asked)
    host, _, port = server.url.removeprefix("http://").partition(":")
    bad = (
        b"POST /v1/compare HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{\"prompt\": ",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/compare HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{]}",
        b"POST /v1/compare HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/compare HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/compare HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 55\r\n\r\n"
        b'{"prompt": "question 1 ?", "answers": ["good", "bad"]} ',
    )  # fmt: skip
    pick = random.Random(0)

    def misbehave(number: int) -> None:
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(bad[number % len(bad)])
            if pick.random() < 0.5:
                raw.settimeout(0.2)
                with suppress(TimeoutError):
                    raw.recv(1000)

    with httpx2.Client(base_url=server.url, timeout=60) as client, ThreadPoolExecutor(16) as threads:
        misbehaving = [threads.submit(misbehave, i) for i in range(28)]
        found = list(threads.map(lambda c: verdict_of(client.post("/v1/compare", json=body(c, swap="none"))), asked))
        for done in misbehaving:
            done.result()
        counters = client.get("/metrics").text
    assert np.abs(np.array(found) - expected).max() < 1e-6
    assert "tiebreak_texts 0.0" in counters
    assert "Traceback" not in "".join(server.printed)


def test_texts_are_not_logged(server: Server) -> None:
    httpx2.post(f"{server.url}/v1/compare", json=body(Comparison(("very secret",), ("good",), ("bad",))))
    httpx2.post(f"{server.url}/v1/compare", json={"prompt": "very secret", "answers": 1})
    log = "".join(server.printed)
    assert "POST /v1/compare" in log
    assert "secret" not in log


def test_accepted_requests_are_answered_after_a_signal(small_run: TrainingResult) -> None:
    server = Server(small_run.folder.path, TIEBREAK_API_KEY="key")
    asked = [body(c) for c in small_votes(300, first=2000)]
    headers = {"authorization": "Bearer key"}
    assert httpx2.post(f"{server.url}/v1/compare", json=asked[0]).status_code == 401
    answers: list[int] = []

    def ask() -> None:
        found = httpx2.post(f"{server.url}/v1/compare/batch", json={"comparisons": asked}, headers=headers, timeout=60)
        answers.append(len(found.json()["verdicts"]))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while "\ntiebreak_texts 1800.0\n" not in httpx2.get(f"{server.url}/metrics", headers=headers).text:
        assert not answers
    assert server.stop() == 0
    for thread in threads:
        thread.join(30)
    assert answers == [300] * 3
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.url)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines. Set TIEBREAK_API_KEY"),
        (["--api-key-file", "nowhere"], "nowhere cannot be read as an API key file"),
        (["--policy", "no/such/model"], "The tokenizer of the policy no/such/model cannot be loaded"),
        (["--host", "256.0.0.1", "--no-key"], "Cannot listen on 256.0.0.1:8000"),
    ],
)
def test_invalid_options_are_refused_before_the_judge_is_loaded(
    small_run: TrainingResult, arguments: list[str], reason: str
) -> None:
    done = tiebreak("serve", small_run.folder.path, *arguments, COLUMNS="300", TIEBREAK_API_KEY="")
    assert done.returncode != 0
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use(small_run: TrainingResult, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = tiebreak("serve", small_run.folder.path, "--port", port, COLUMNS="300")
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert tiebreak("serve", tmp_path).returncode == 1
