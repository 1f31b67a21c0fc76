"""Errors that a request is answered with: their statuses, their messages, and their JSON in Tiebreak's own API.

ServingError             500
├── InvalidRequestError  422: the request cannot be judged
├── UnknownModelError    404: the request names another model
├── TooLargeError        413: the request is over a limit
├── UnauthorizedError    401: the API key is missing or wrong
├── BusyError            429: the queue is full
├── DrainingError        503: the server is shutting down
└── TimedOutError        504: judging took too long

The other servers' JSON for the same errors is in `compat`.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from tiebreak.data import UnreadableError
from tiebreak.errors import TiebreakError
from tiebreak.judges.prompts import HOW_TO_GIVE_TOOL_CALLS

RESPONSE_DESCRIPTIONS: Final = {
    400: "The request is not valid HTTP or JSON.",
    401: "The API key is missing or wrong.",
    404: "The request names another model than the served one.",
    413: "The request is over one of the server's limits.",
    422: "The request is invalid; the message says why.",
    429: "The queue is full; Retry-After says when to try again.",
    503: "The server is shutting down, or the texts do not fit into memory.",
    504: "The request was not judged within the time limit.",
}


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    code: int


class ErrorResponse(BaseModel):
    """An error, with a readable message."""

    error: ErrorDetail


def error_responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The error responses of a router, for its OpenAPI description."""
    return {
        status: {"model": model, "description": description}
        for status, description in RESPONSE_DESCRIPTIONS.items()
    }  # fmt: skip


class ServingError(TiebreakError):
    """A request is refused, or failed."""

    status = 500
    type = "server_error"
    retry_after: int | None = None
    """Seconds after which to try again."""


class InvalidRequestError(ServingError):
    """A request that cannot be judged."""

    status = 422
    type = "invalid_request"


class UnknownModelError(ServingError):
    """A request that names another model than the served one."""

    status = 404
    type = "not_found"

    def __init__(self, served: str) -> None:
        super().__init__(f"No model of this name is served. Name {served}, or leave the model out.")


class TooLargeError(ServingError):
    """A request over one of the server's limits."""

    status = 413
    type = "too_large"


class UnauthorizedError(ServingError):
    """A request without the API key."""

    status = 401
    type = "unauthorized"

    def __init__(self) -> None:
        super().__init__("The API key is missing or wrong. Send the header `Authorization: Bearer KEY`.")


class BusyError(ServingError):
    """The queue is full."""

    status = 429
    type = "busy"
    retry_after = 1

    def __init__(self, texts: int, queue: int) -> None:
        super().__init__(f"Queue is full ({texts:,} of {queue:,} texts). Try again in a second.")


class DrainingError(ServingError):
    """The server is shutting down."""

    status = 503
    type = "shutting_down"
    retry_after = 5

    def __init__(self) -> None:
        super().__init__("The server is shutting down and accepts no new requests. Try again in a few seconds.")


class TimedOutError(ServingError):
    """A request over the time limit."""

    status = 504
    type = "timed_out"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The request was not judged within {seconds:g} seconds. Send less at a time, or try again later."
        )


def unreadable_error(name: str, error: UnreadableError) -> InvalidRequestError:
    """The error for messages that do not make a conversation of texts."""
    if error.kind == "tool_calls":
        return InvalidRequestError(f"{name} ends in a tool call, which is no text: {HOW_TO_GIVE_TOOL_CALLS}.")
    return InvalidRequestError(f"{name}: {error.message}")


def native_error_body(error: ServingError) -> dict[str, Any]:
    """An error as an `ErrorResponse`."""
    return {"error": {"message": str(error), "type": error.type, "code": error.status}}
