"""Training speed."""

from __future__ import annotations

import time

import torch


class Throughput:
    """Tokens per second between two log lines, without the time that validation takes."""

    def __init__(self) -> None:
        self._tokens = 0
        self._started = time.monotonic()
        self._excluded = 0.0

    def add(self, *, tokens: int) -> None:
        """Count a step's tokens."""
        self._tokens += tokens

    def exclude(self, seconds: float) -> None:
        """Do not count these seconds."""
        self._excluded += seconds

    def measure(self, processes: int) -> dict[str, float]:
        """The rate since the last call, and peak memory so far; `processes` with equal shares are assumed."""
        seconds = max(time.monotonic() - self._started - self._excluded, 1e-9)
        measured = {"tokens_per_second": round(self._tokens * processes / seconds, 1)}
        if torch.cuda.is_available():
            measured["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        self._tokens, self._started, self._excluded = 0, time.monotonic(), 0.0
        return measured
