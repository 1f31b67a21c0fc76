"""The example for Ray Serve. It is skipped unless Ray is installed, which is not a dependency.

pip install "ray[serve]" && pytest tests/integration/test_ray_serve.py
"""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.conftest import probabilities, small_votes
from tiebreak import Client, ServerError, load_judge
from tiebreak.training import TrainingResult

ray: Any = pytest.importorskip("ray", reason="Ray is not installed")
serve: Any = pytest.importorskip("ray.serve", reason="Ray is installed without Serve")

EXAMPLE = Path(__file__).parents[2] / "examples/ray_serve.py"


@pytest.fixture
def ray_url(small_run: TrainingResult, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The example, with two replicas."""
    monkeypatch.setenv("TIEBREAK_API_KEY", "secret")
    spec = importlib.util.spec_from_file_location("ray_serve", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example: Any = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ray_serve", example)
    spec.loader.exec_module(example)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(example.build(example.Settings(run=small_run.folder.path, least=2, most=2, grace=5)))
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


def test_replicas_agree_with_the_judge(ray_url: str, small_run: TrainingResult) -> None:
    votes = small_votes(200, first=90)
    expected = probabilities(load_judge(small_run.folder.path), votes)
    with Client(ray_url, "secret") as client:
        with ThreadPoolExecutor(8) as askers:
            singles = list(askers.map(lambda vote: client.compare_many([vote])[0], votes))
        together = probabilities(client, votes)
        replicas = serve.status().applications["default"].deployments["tiebreak"].replica_states
        assert replicas == {"RUNNING": 2}
    np.testing.assert_allclose([(v.model_a, v.model_b, v.tie) for v in singles], expected, atol=1e-6)
    np.testing.assert_allclose(together, expected, atol=1e-6)
    with Client(ray_url, "another") as client, pytest.raises(ServerError, match="401"):
        client.model()


def test_a_stopped_replica_answers_accepted_requests(ray_url: str) -> None:
    votes = small_votes(64, first=90)
    with Client(ray_url, "secret", retries=0) as client, ThreadPoolExecutor(8) as askers:
        client.model()
        asked = [askers.submit(client.compare_many, votes, swap="average") for _ in range(8)]
        wait(asked, return_when=FIRST_COMPLETED)
        serve.delete("default")
        assert [len(answers.result(30)) for answers in asked] == [64] * 8
