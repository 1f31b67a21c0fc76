"""One request, tried until it is answered or is not to be; and what went wrong, in words."""

from __future__ import annotations

from typing import Any, Final

import httpx2

from tiebreak.client.retries import LONGEST_WAIT, is_retryable, retry_after_seconds, retry_delay
from tiebreak.client.steps import Send, Steps, Wait
from tiebreak.errors import ServerError

KEY: Final = "TIEBREAK_API_KEY"
SHOWN: Final = 200
"""Characters of what somebody else's server says."""


def exchange(send: Send, url: str, retries: int) -> Steps[Any]:
    """The JSON that a server answers a request with.

    Args:
        send: the request.
        url: of the server, for what goes wrong.
        retries: tries after the first one.

    Raises:
        ServerError: the server cannot be reached, refuses, or is no Tiebreak server.
    """
    for attempt in range(retries + 1):
        outcome: httpx2.Response | httpx2.RequestError = yield send
        if isinstance(outcome, httpx2.Response) and outcome.is_success:
            return _json(outcome, url)
        error = refusal(outcome, send, url)
        if not is_retryable(outcome, error) or attempt == retries:
            break
        seconds = retry_delay(attempt, outcome)
        if isinstance(outcome, httpx2.Response) and retry_after_seconds(outcome.headers) > LONGEST_WAIT:
            break
        yield Wait(seconds)
    tried = f" (Tried {attempt + 1} times.)" if attempt else ""
    raise ServerError(f"{error}{tried}", status=error.status, type=error.type)


def refusal(outcome: httpx2.Response | httpx2.RequestError, send: Send, url: str) -> ServerError:
    """What went wrong, and what to do about it."""
    if isinstance(outcome, httpx2.ReadTimeout | httpx2.WriteTimeout):
        return ServerError(
            f"{url} did not answer {send.method} {send.path} in time: send less at a time, or give the client a larger "
            "timeout."
        )
    if isinstance(outcome, httpx2.RequestError):
        reason = str(outcome).rstrip(".") or type(outcome).__name__
        return ServerError(f"{url} cannot be reached: {reason}. Is the URL right, and is a server running there?")
    status, told = outcome.status_code, _told(outcome)
    said = f"{url}{send.path} answered with status {status}"
    if outcome.is_redirect:
        return ServerError(
            f"{said}, to go to {outcome.headers.get('location')}: give the client the URL it is to ask.", status=status
        )
    if told is None:
        return ServerError(
            f"{said}, and not as a Tiebreak server does: {_excerpt(outcome)}. Is the URL right, and what stands before "
            "the server?",
            status=status,
        )
    message, kind = told
    if status == 401:
        message = f"the API key is missing or another. Give the client the server's api_key, or set {KEY}."
    return ServerError(f"{said}: {message}", status=status, type=kind)


def unreadable(url: str, what: str) -> ServerError:
    """An answer is not what a Tiebreak server of this version says."""
    return ServerError(
        f"{url} does not answer as a Tiebreak server does: {what}. Is the URL right, and is the server of this version?"
    )


def _json(response: httpx2.Response, url: str) -> Any:
    try:
        return response.json()
    except ValueError:
        raise unreadable(url, f"no JSON but {_excerpt(response)}") from None


def _told(response: httpx2.Response) -> tuple[str, str | None] | None:
    """Message and type of a Tiebreak server's refusal; None of another's."""
    try:
        error = response.json()["error"]
        return str(error["message"]), str(error["type"])
    except (ValueError, KeyError, TypeError):
        return None


def _excerpt(response: httpx2.Response) -> str:
    kind = response.headers.get("content-type", "nothing that says what it is")
    text = " ".join(response.text.split())
    return f"{text[:SHOWN]!r} ({kind})" if text and "html" not in kind else kind
