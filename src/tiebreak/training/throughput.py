"""How fast training goes."""

from __future__ import annotations

import time

import torch


class Throughput:
    """Tokens a second between two logs, validations left out."""

    def __init__(self) -> None:
        self._tokens = 0
        self._since = time.monotonic()
        self._paused = 0.0

    def add(self, *, tokens: int) -> None:
        """Count a step's tokens."""
        self._tokens += tokens

    def pause(self, seconds: float) -> None:
        """Leave so many seconds out."""
        self._paused += seconds

    def measure(self, processes: int) -> dict[str, float]:
        """What was measured since the last call, over so many processes with like shares, and peak memory so far."""
        seconds = max(time.monotonic() - self._since - self._paused, 1e-9)
        measured = {"tokens_per_second": round(self._tokens * processes / seconds, 1)}
        if torch.cuda.is_available():
            measured["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        self._tokens, self._since, self._paused = 0, time.monotonic(), 0.0
        return measured
