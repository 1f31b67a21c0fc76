"""What a request passes before anyone looks at it: its key, the size of its body, and whether it is still wanted."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from tiebreak.data import replace_lone_surrogates
from tiebreak.serving.errors import InvalidRequestError, ServingError, TooLargeError, UnauthorizedError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN: Final = ("/healthz", "/readyz", "/health")
"""Answered without a key, besides the page, which asks for it."""
BODY_SECONDS: Final = 60.0
"""Within which a body is to be here."""
HEADERS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_SURROGATE: Final = b"\\ud"


class RequestGuard:
    """Outermost around the app.

    - Without the key nothing is read: not even the body.
    - A body larger than it may be is refused as soon as that is known.
    - Lone surrogates, which JSON can hold and no encoding can, become U+FFFD.
    - A client that goes away is nobody's any more: what was not yet judged for it is freed.

    Args:
        app: what answers.
        api_key: to be shown as `Authorization: Bearer KEY`; None for a server that is open.
        body_bytes: of a body, at most.
        open_paths: answered without a key.
        on_done: told the path, status and seconds of every request.
        refusal: an error as the body of a response to a path.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        api_key: str | None,
        body_bytes: int,
        open_paths: frozenset[str],
        on_done: Callable[[str, int, float], None],
        refusal: Callable[[str, ServingError], Any],
    ) -> None:
        self._app = app
        self._key = None if api_key is None else api_key.encode()
        self._body_bytes = body_bytes
        self._open = open_paths
        self._on_done = on_done
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = monotonic(), 499  # what a client that went away is counted as

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                message["headers"] += [pair for pair in HEADERS if pair[0] not in present]
            await send(message)

        try:
            self._check_key(scope)
            body = await self._body(scope, receive)
            if body is not None:
                await self._answer(scope, body, receive, send_on)
        except ServingError as error:
            await self._refuse(scope["path"], error, send_on)
        finally:
            route = scope.get("route")
            self._on_done(getattr(route, "path", "other"), status, monotonic() - started)

    def _check_key(self, scope: Scope) -> None:
        if self._key is None or scope["path"] in self._open:
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = given.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(), self._key):
            raise UnauthorizedError

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None if the client went away meanwhile."""
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
                        break
        except TimeoutError:
            raise InvalidRequestError(f"The body did not come within {BODY_SECONDS:g} seconds.") from None
        body = b"".join(parts)
        return _repaired(body) if _SURROGATE in body.lower() else body

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The body is larger than the {self._body_bytes:,} bytes it may have: send it in parts.")

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Let the app answer, unless the client goes away first."""
        read = False

        async def receive_body() -> Message:
            nonlocal read
            if read:
                await gone.wait()
                return {"type": "http.disconnect"}
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        gone = asyncio.Event()

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

    async def _refuse(self, path: str, error: ServingError, send: Send) -> None:
        body = json.dumps(self._refusal(path, error)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if isinstance(error, UnauthorizedError):
            headers.append((b"www-authenticate", b"Bearer"))
        if error.status == 413:
            headers.append((b"connection", b"close"))  # the rest of the body is not read
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _repaired(body: bytes) -> bytes:
    try:
        return json.dumps(_map_texts(json.loads(body))).encode()
    except (ValueError, RecursionError):
        return body  # what is wrong with it is said where it is parsed


def _map_texts(value: Any) -> Any:
    if isinstance(value, str):
        return replace_lone_surrogates(value)[0]
    if isinstance(value, list):
        return [_map_texts(item) for item in value]
    if isinstance(value, dict):
        return {replace_lone_surrogates(key)[0]: _map_texts(item) for key, item in value.items()}
    return value
