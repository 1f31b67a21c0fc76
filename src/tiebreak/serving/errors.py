"""Refusals, each with its HTTP status and a reason that can be read.

ServingError
├── InvalidRequestError    422: understood, and impossible
├── UnknownModelError      404: a request names another model than the one served
├── TooLargeError          413: more than a request may hold
├── UnauthorizedError      401: the key is missing or another
├── BusyError              429: as much is waiting as may
├── DrainingError          503: the server is shutting down
└── TimedOutError          504: it took too long
"""

from __future__ import annotations

from tiebreak.errors import TiebreakError


class ServingError(TiebreakError):
    """A request is refused."""

    status = 500
    type = "server_error"
    retry_after: int | None = None
    """Seconds after which it may be tried again."""


class InvalidRequestError(ServingError):
    """A request is understood, and impossible."""

    status = 422
    type = "invalid_request"


class UnknownModelError(ServingError):
    """A request names another model than the one served."""

    status = 404
    type = "not_found"

    def __init__(self, served: str) -> None:
        super().__init__(f"The model of that name is not served here: name {served}, or none at all.")


class TooLargeError(ServingError):
    """A request holds more than it may."""

    status = 413
    type = "too_large"


class UnauthorizedError(ServingError):
    """The API key is missing or another."""

    status = 401
    type = "unauthorized"

    def __init__(self) -> None:
        super().__init__("Give the server's API key: the header `Authorization: Bearer KEY`.")


class BusyError(ServingError):
    """As much is waiting as may."""

    status = 429
    type = "busy"
    retry_after = 1

    def __init__(self, waiting: int, queue: int) -> None:
        super().__init__(f"{waiting:,} texts are waiting of {queue:,} that may: try again in a second.")


class DrainingError(ServingError):
    """The server is shutting down."""

    status = 503
    type = "shutting_down"
    retry_after = 5

    def __init__(self) -> None:
        super().__init__("The server is shutting down, and answers only what it has accepted: try again in a moment.")


class TimedOutError(ServingError):
    """A request took too long."""

    status = 504
    type = "timed_out"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"It was not judged within {seconds:g} seconds: send less at a time, or wait for a quieter one."
        )
