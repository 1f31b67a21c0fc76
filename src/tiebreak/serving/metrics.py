"""Prometheus metrics of the server, for `GET /metrics`."""

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

from tiebreak.serving.batcher import InFlight

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServerMetrics:
    """Metrics of one server. They contain no texts of requests."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, with its creation time
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("tiebreak_requests", "Requests answered.", ("path", "status"), registry=registry)
        self._request_seconds = Histogram(
            "tiebreak_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ("path",),
            buckets=SECONDS,
            registry=registry,
        )
        self._pass_rows = Histogram("tiebreak_pass_rows", "Rows of a pass.", buckets=ROWS, registry=registry)
        self._pass_seconds = Histogram(
            "tiebreak_pass_seconds",
            "Time of a pass, including the wait for the model.",
            buckets=SECONDS,
            registry=registry,
        )

    def track_in_flight(self, in_flight: Callable[[], InFlight]) -> None:
        """Add gauges that call the function at each scrape."""
        texts = Gauge("tiebreak_texts", "Texts queued or being judged.", registry=self._registry)
        texts.set_function(lambda: in_flight().texts)
        requests = Gauge("tiebreak_requests_under_way", "Requests queued or being judged.", registry=self._registry)
        requests.set_function(lambda: in_flight().requests)

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request. `path` is that of a route, or `other`, which bounds the number of series."""
        self._requests.labels(path, str(status)).inc()
        self._request_seconds.labels(path).observe(seconds)

    def observe_pass(self, rows: int, seconds: float) -> None:
        """Count a pass."""
        self._pass_rows.observe(rows)
        self._pass_seconds.observe(seconds)

    def render(self) -> tuple[bytes, str]:
        """All metrics in Prometheus' text format, and their media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
