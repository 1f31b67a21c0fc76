"""What happens to every request before its route: authentication, limits, repair of texts, and disconnects."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from tiebreak.serving.errors import InvalidRequestError, ServingError, TooLargeError, UnauthorizedError
from tiebreak.unicode import replace_invalid_characters

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH_PATHS: Final = ("/healthz", "/readyz", "/health")
"""Paths that need no key."""
BODY_SECONDS: Final = 60.0
"""Time limit for receiving a body."""
HEADERS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
CLIENT_CLOSED_REQUEST: Final = 499
"""The status that counts requests whose client disconnected, as in nginx."""
_NEEDS_REPAIR: Final = re.compile(rb"\\u(?:d[89a-f]|0000)", re.IGNORECASE)
"""JSON escapes of surrogates and NUL. Raw ones are not valid UTF-8 or JSON."""


class RequestGuard:
    """The outermost middleware.

    - Requests without the key are refused before their body is read.
    - Bodies over the limit are refused as soon as their size is known.
    - Lone surrogates and NUL in texts become U+FFFD, as in data files: pydantic refuses surrogates.
      `Comparison` and `Conversation` clean line ends.
    - Requests whose client disconnects are cancelled, and their queued rows are dropped.

    Args:
        app: answers the requests.
        api_key: expected as `Authorization: Bearer KEY`; None to serve without a key.
        body_bytes: limit of a body.
        open_paths: paths that need no key.
        on_response: called with path, status and seconds of every request.
        error_body: the JSON for an error on a path.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        api_key: str | None,
        body_bytes: int,
        open_paths: frozenset[str],
        on_response: Callable[[str, int, float], None],
        error_body: Callable[[str, ServingError], Any],
    ) -> None:
        self._app = app
        self._key = None if api_key is None else api_key.encode()
        self._body_bytes = body_bytes
        self._open_paths = open_paths
        self._on_response = on_response
        self._error_body = error_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as an ASGI app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = monotonic(), CLIENT_CLOSED_REQUEST

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                message["headers"] += [header for header in HEADERS if header[0] not in present]
            await send(message)

        try:
            self._check_key(scope)
            body = await self._read_body(scope, receive)
            if body is not None:
                await self._answer(scope, repair_texts(body), receive, send_with_headers)
        except ServingError as error:
            await self._send_error(scope["path"], error, send_with_headers)
        finally:
            route = scope.get("route")
            self._on_response(getattr(route, "path", "other"), status, monotonic() - started)

    def _check_key(self, scope: Scope) -> None:
        if self._key is None or scope["path"] in self._open_paths:
            return
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = header.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(), self._key):
            raise UnauthorizedError

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The complete body; None if the client disconnected."""
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    size += len(part)
                    if size > self._body_bytes:
                        raise self._too_large()
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise InvalidRequestError(
                f"The body was not received within {BODY_SECONDS:g} seconds. Send it faster, or in smaller requests."
            ) from None

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The body is larger than {self._body_bytes:,} bytes. Send smaller requests.")

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Let the app answer; cancel it if the client disconnects first."""
        body_sent = False
        disconnected = asyncio.Event()

        async def receive_body() -> Message:
            nonlocal body_sent
            if body_sent:
                await disconnected.wait()
                return {"type": "http.disconnect"}
            body_sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            disconnected.set()

        async def answer() -> None:
            await self._app(scope, receive_body, send)

        answering = asyncio.create_task(answer())
        watching = asyncio.create_task(watch())
        try:
            await asyncio.wait((answering, watching), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                answering.cancel()
            await asyncio.gather(answering, return_exceptions=watching.done())
        finally:
            answering.cancel()
            watching.cancel()

    async def _send_error(self, path: str, error: ServingError, send: Send) -> None:
        body = json.dumps(self._error_body(path, error)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if isinstance(error, UnauthorizedError):
            headers.append((b"www-authenticate", b"Bearer"))
        if isinstance(error, TooLargeError):
            headers.append((b"connection", b"close"))  # the rest of the body is not read
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def repair_texts(body: bytes) -> bytes:
    """A JSON body with U+FFFD for lone surrogates and NUL; other bodies, and broken ones, as they are.

    >>> repair_texts(b'{"prompt": "a\\\\ud83d"}')
    b'{"prompt": "a\\\\ufffd"}'
    """
    if not _NEEDS_REPAIR.search(body):
        return body
    try:
        return json.dumps(_repair_value(json.loads(body))).encode()
    except (ValueError, RecursionError):
        return body  # the route's parser reports what is wrong


def _repair_value(value: Any) -> Any:
    if isinstance(value, str):
        return replace_invalid_characters(value)[0]
    if isinstance(value, list):
        return [_repair_value(item) for item in value]
    if isinstance(value, dict):
        return {replace_invalid_characters(key)[0]: _repair_value(item) for key, item in value.items()}
    return value
