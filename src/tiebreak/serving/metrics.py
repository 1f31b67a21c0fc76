"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tiebreak.serving.batcher import Counts

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServerMetrics:
    """Of one server: texts of requests are in none of them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, of when it began
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tiebreak_requests", "Requests answered.", ("path", "status"), registry=self._registry
        )  # fmt: skip
        self._seconds = Histogram(
            "tiebreak_request_seconds", "From the first byte to the last.", ("path",), buckets=SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._rows = Histogram("tiebreak_pass_rows", "Rows judged together.", buckets=ROWS, registry=self._registry)
        self._passes = Histogram(
            "tiebreak_pass_seconds", "Time of a pass, with waiting for the model.", buckets=SECONDS,
            registry=self._registry,
        )  # fmt: skip

    def watch(self, counts: Callable[[], Counts]) -> None:
        """Show what is under way, when it is asked for."""
        Gauge("tiebreak_texts", "Texts waiting or being judged.", registry=self._registry).set_function(
            lambda: counts().texts
        )
        Gauge("tiebreak_requests_under_way", "Requests waiting or being judged.", registry=self._registry).set_function(
            lambda: counts().requests
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered. `path` is that of a route, or `other`: the number of series is bounded."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def judged(self, rows: int, seconds: float) -> None:
        """A pass is done."""
        self._rows.observe(rows)
        self._passes.observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """All of them, and their media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
