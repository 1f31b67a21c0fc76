"""When a request is tried again, and after how long.

Judging changes nothing on the server, so that any request may be sent twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from tiebreak.errors import ServerError

FIRST_WAIT: Final = 0.5
"""Seconds before the second try; each further wait is twice as long."""
LONGEST_WAIT: Final = 60.0
"""Who is asked to wait longer gives up."""
PASSING_STATUS: Final = (429, 502, 503, 504)
"""Too busy, shutting down, or a proxy before a server that is."""
LASTING: Final = ("timed_out", "out_of_memory")
"""Refusals of such a status that a Tiebreak server would repeat."""
PASSING_FAULTS: Final = (
    httpx2.NetworkError,
    httpx2.ConnectTimeout,
    httpx2.RemoteProtocolError,
    httpx2.ProxyError,
)  # fmt: skip


def is_retryable(outcome: httpx2.Response | httpx2.RequestError, error: ServerError) -> bool:
    """Whether another try may go better.

    Args:
        outcome: what came of the request.
        error: the same in words.
    """
    if isinstance(outcome, httpx2.RequestError):
        return isinstance(outcome, PASSING_FAULTS)
    return outcome.status_code in PASSING_STATUS and error.type not in LASTING


def retry_delay(
    attempt: int, outcome: httpx2.Response | httpx2.RequestError, draw: Callable[[], float] = random.random
) -> float:
    """Seconds to wait before another try.

    Never less than the server asked for; and from half to all of a time that doubles with each attempt, so that clients
    that were refused together do not come back together.

    Args:
        attempt: 0 after the first try.
        outcome: what came of it.
        draw: a number from 0 to 1 by chance.

    >>> busy = httpx2.Response(429, headers={"retry-after": "3"})
    >>> [wait_before(attempt, busy, lambda: 1.0) for attempt in range(4)]
    [3.5, 4.0, 5.0, 7.0]
    """
    asked = retry_after_seconds(outcome.headers) if isinstance(outcome, httpx2.Response) else 0.0
    return asked + min(FIRST_WAIT * 2.0**attempt, LONGEST_WAIT) * (1 + draw()) / 2


def retry_after_seconds(headers: httpx2.Headers) -> float:
    """What `Retry-After` asks for, as seconds or as a date; 0 where it asks for nothing."""
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
