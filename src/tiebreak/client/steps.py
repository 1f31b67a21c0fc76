"""What a client has to do, without doing it.

A call is a generator that yields steps and is sent what came of them; whoever runs it decides how to wait. So both
clients share everything but the waiting, and a test can run a call without a network or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; what comes of it is an `httpx2.Response`, or the `httpx2.RequestError` in its place."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds; nothing comes of it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Together:
    """Run several calls, some at a time; what comes of them is the list of their results, in their order."""

    calls: Sequence[Steps[Any]]
    on_done: Callable[[int], None]
    """Told the number of each call that is done, as they are done."""


Step = Send | Wait | Together
Steps = Generator[Step, Any, T]
