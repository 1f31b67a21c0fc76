"""One HTTP request: connection settings, retries, and error messages.

Retries are decided here rather than by a library. httpx2's transports retry failed connections only. tenacity would
replace the loop of five lines in each client, but not the decisions: which answers may be temporary, `Retry-After` as
seconds or a date, and when a wait is too long. Judging changes nothing on the server, so any request may be sent twice.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx2

from tiebreak._version import RELEASE
from tiebreak.errors import ServerError

API_KEY_VARIABLE: Final = "TIEBREAK_API_KEY"
CONNECT_TIMEOUT: Final = 10.0
FIRST_WAIT: Final = 0.5
"""Seconds before the first retry; each further wait is twice as long."""
LONGEST_WAIT: Final = 60.0
"""Seconds. A request whose `Retry-After` asks for more fails at once."""
RETRYABLE_STATUS: Final = (429, 502, 503, 504)
"""The server is busy or shutting down, or a proxy cannot reach it."""
PERMANENT_TYPES: Final = ("timed_out", "out_of_memory")
"""Errors of such a status that a Tiebreak server would repeat."""
RETRYABLE_ERRORS: Final = (
    httpx2.NetworkError,
    httpx2.ConnectTimeout,
    httpx2.RemoteProtocolError,
    httpx2.ProxyError,
)
EXCERPT_CHARACTERS: Final = 200
"""Shown of an answer that is not a Tiebreak server's."""

Outcome = httpx2.Response | httpx2.RequestError
"""What sending a request results in."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the server."""

    method: str
    path: str
    body: bytes | None = None


def check_url(url: str) -> str:
    """The server's base URL, without a trailing `/v1` (clients of other servers are configured with one).

    Raises:
        ServerError: the URL is not one of an HTTP server.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ServerError(f"{url!r} is not a URL: {error}. Give one like http://127.0.0.1:8000.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ServerError(f"{url!r} is not the URL of a server. Give one like http://127.0.0.1:8000.")
    return url.rstrip("/").removesuffix("/v1")


def http_options(url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    """Arguments for `httpx2.Client` and `httpx2.AsyncClient`.

    Args:
        url: from `check_url`.
        api_key: by default the value of `TIEBREAK_API_KEY`.
        timeout: seconds to wait for an answer.

    Raises:
        ServerError: a header cannot hold the key.
    """
    key = (api_key or os.environ.get(API_KEY_VARIABLE, "")).strip()
    if not key.isprintable():
        raise ServerError("The API key contains control characters. Give it as one line of text.")
    headers: dict[str, str | bytes] = {"user-agent": f"tiebreak/{RELEASE}", "content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}".encode()
    return {
        "base_url": url,
        "headers": headers,
        "timeout": httpx2.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout), pool=None),
    }


def retry_or_raise(outcome: Outcome, request: Request, url: str, *, attempt: int, retries: int) -> float:
    """Seconds to wait before the next attempt at a request that failed.

    Args:
        outcome: of the last attempt; not a success.
        request: what was sent.
        url: of the server.
        attempt: 0 after the first attempt.
        retries: attempts allowed after the first one.

    Raises:
        ServerError: another attempt is not allowed or would not help.
    """
    error = explain(outcome, request, url)
    too_long = isinstance(outcome, httpx2.Response) and retry_after_seconds(outcome.headers) > LONGEST_WAIT
    if attempt < retries and not too_long and is_retryable(outcome, error):
        return retry_delay(attempt, outcome)
    tried = f" (Tried {attempt + 1} times.)" if attempt else ""
    raise ServerError(f"{error}{tried}", status=error.status, type=error.type)


def is_retryable(outcome: Outcome, error: ServerError) -> bool:
    """Whether another attempt may succeed.

    Args:
        outcome: of the last attempt.
        error: the explanation of the outcome.
    """
    if isinstance(outcome, httpx2.RequestError):
        return isinstance(outcome, RETRYABLE_ERRORS)
    return outcome.status_code in RETRYABLE_STATUS and error.type not in PERMANENT_TYPES


def retry_delay(attempt: int, outcome: Outcome, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait before another attempt: exponential backoff with jitter, after `Retry-After`.

    The jitter takes up to half of the backoff, so that clients refused together do not return together.

    Args:
        attempt: 0 after the first attempt.
        outcome: of the last attempt.
        draw: returns a random number from 0 to 1.

    >>> busy = httpx2.Response(429, headers={"retry-after": "3"})
    >>> [retry_delay(attempt, busy, lambda: 1.0) for attempt in range(4)]
    [3.5, 4.0, 5.0, 7.0]
    """
    requested = retry_after_seconds(outcome.headers) if isinstance(outcome, httpx2.Response) else 0.0
    return requested + min(FIRST_WAIT * 2.0**attempt, LONGEST_WAIT) * (1 + draw()) / 2


def retry_after_seconds(headers: httpx2.Headers) -> float:
    """The wait that `Retry-After` requests, given as seconds or as a date; 0 without a valid one."""
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def explain(outcome: Outcome, request: Request, url: str) -> ServerError:
    """What went wrong, and what to do about it."""
    if isinstance(outcome, httpx2.ReadTimeout | httpx2.WriteTimeout):
        return ServerError(
            f"{url} did not answer {request.method} {request.path} in time. Send less at a time, or give the client a "
            "larger timeout."
        )
    if isinstance(outcome, httpx2.RequestError):
        reason = str(outcome).rstrip(".") or type(outcome).__name__
        return ServerError(f"{url} cannot be reached: {reason}. Check the URL, and that a server is running there.")
    status, refusal = outcome.status_code, _tiebreak_error(outcome)
    answered = f"{url}{request.path} answered with status {status}"
    if outcome.is_redirect:
        location = outcome.headers.get("location")
        return ServerError(f"{answered}, a redirect to {location}. Give the client the final URL.", status=status)
    if refusal is None:
        return ServerError(
            f"{answered}, but not in the format of a Tiebreak server: {_excerpt(outcome)}. Check the URL, and any "
            "proxy in front of the server.",
            status=status,
        )
    message, kind = refusal
    if status == 401:
        message = f"the API key is missing or wrong. Give the client the server's api_key, or set {API_KEY_VARIABLE}."
    return ServerError(f"{answered}: {message}", status=status, type=kind)


def unexpected_answer(url: str, what: str) -> ServerError:
    """A successful answer that a Tiebreak server of this version would not give."""
    return ServerError(
        f"{url} does not answer like a Tiebreak server: {what}. Check the URL, and that client and server have the "
        "same version."
    )


def read_json(response: httpx2.Response, url: str) -> Any:
    """The content of a successful answer.

    Raises:
        ServerError: it is not JSON.
    """
    try:
        return response.json()
    except ValueError:
        raise unexpected_answer(url, f"expected JSON, got {_excerpt(response)}") from None


def check_open(http: httpx2.Client | httpx2.AsyncClient) -> None:
    """Refuse to use connections that were closed.

    Raises:
        ServerError: the client is closed.
    """
    if http.is_closed:
        raise ServerError("This client is closed. Create another one.")


def _tiebreak_error(response: httpx2.Response) -> tuple[str, str | None] | None:
    """Message and type of a Tiebreak server's error; None if another program answered."""
    try:
        error = response.json()["error"]
        return str(error["message"]), str(error["type"])
    except (ValueError, KeyError, TypeError):
        return None


def _excerpt(response: httpx2.Response) -> str:
    kind = response.headers.get("content-type", "no content type")
    text = " ".join(response.text.split())
    return f"{text[:EXCERPT_CHARACTERS]!r} ({kind})" if text and "html" not in kind else kind
