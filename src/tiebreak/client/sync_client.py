"""A client whose calls return when they are answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from types import TracebackType
from typing import Any, Never, Self, TypeVar

import httpx2

from tiebreak.client.protocol import AT_ONCE, RETRIES, TIMEOUT, ClientProtocol
from tiebreak.client.responses import ServedModel
from tiebreak.client.steps import Send, Step, Steps, Together, Wait
from tiebreak.errors import ModelError, ServerError
from tiebreak.judges.answer_order import Swap
from tiebreak.judges.judge import Judge
from tiebreak.judges.verdicts import Ranking, Score, Verdict
from tiebreak.types import Comparison, Conversation

T = TypeVar("T")


class Client(Judge):
    """A judge that is served elsewhere, and used as if it were here.

    What it says is what the served judge says. Many rows go in several requests, some at a time; what fails in passing
    is tried again. It may be used from several threads.

    Args:
        url: what `tiebreak serve` printed, or where a proxy has it.
        api_key: what the server asks for; by default what the environment's `TIEBREAK_API_KEY` holds.
        timeout: seconds to wait for an answer to a request.
        retries: tries after the first one, of requests that met no server, a busy one or one that shuts down.
        at_once: requests of a call under way.
        transport: httpx2's, where certificates or proxies need one of their own.

    Raises:
        ServerError: the URL or the key cannot be used. Every method: the server cannot be reached, refuses, or is no
            Tiebreak server.

    >>> with Client("http://127.0.0.1:8000") as judge:              # doctest: +SKIP
    ...     judge.compare("1 + 1 = ?", "2", "3").answer
    'model_a'
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        at_once: int = AT_ONCE,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        super().__init__()
        self._calls = ClientProtocol(url, api_key, timeout=timeout, retries=retries, at_once=at_once)
        self._http = httpx2.Client(**self._calls.http, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._calls.url!r})"

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def model(self) -> ServedModel:
        """What is served, and within which limits; asked anew each time."""
        return self._run(self._calls.model())

    @property
    def gives_rewards(self) -> bool:
        """Whether what is served scores an answer alone."""
        return self._run(self._calls.known_model()).gives_rewards

    def recalibrated(self, calibration: object) -> Never:
        """Not to be had: probabilities go through the calibration of the run that is served (`model().calibration`)."""
        del calibration
        raise ModelError(f"The judge at {self._calls.url} is calibrated where it is served: load the run instead.")

    def texts(self, comparisons: int, swap: Swap) -> int:
        """As in `Judge`; of a blend as if it were one judge of pairs."""
        return self._run(self._calls.texts(comparisons, swap))

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """As in `Judge`."""
        return self._run(self._calls.compare_many(comparisons, swap, on_progress))

    def compare_orders(
        self, comparisons: Sequence[Comparison], *, on_progress: Callable[[int], None] | None = None
    ) -> list[tuple[Verdict, Verdict]]:
        """As in `Judge`, but for the tokens of the second verdicts: they are the first ones'."""
        return self._run(self._calls.compare_orders(comparisons, on_progress))

    def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Score]:
        """As in `Judge`; the server finds `groups` by itself."""
        del groups
        return self._run(self._calls.score_many(conversations, on_progress))

    def rank_many(
        self,
        rows: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
        *,
        swap: Swap = "average",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Ranking]:
        """As in `Judge`: a request a prompt."""
        return self._run(self._calls.rank_many(rows, swap, on_progress))

    def _run(self, steps: Steps[T], stopped: threading.Event | None = None) -> T:
        stopped = stopped or threading.Event()
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                result: T = done.value
                return result
            answer = self._do(step, stopped)

    def _do(self, step: Step, stopped: threading.Event) -> Any:
        if isinstance(step, Together):
            return self._together(step)
        if stopped.wait(step.seconds if isinstance(step, Wait) else 0):
            raise CancelledError
        return self._send(step) if isinstance(step, Send) else None

    def _send(self, send: Send) -> httpx2.Response | httpx2.RequestError:
        if self._http.is_closed:
            raise ServerError("This client was closed: make another one.")
        try:
            return self._http.request(send.method, send.path, content=send.body)
        except httpx2.RequestError as error:
            return error

    def _together(self, step: Together) -> list[Any]:
        """In threads; the first error stops those that wait, and is raised."""
        stopped = threading.Event()
        with ThreadPoolExecutor(self._calls.at_once, "tiebreak-client") as pool:
            futures = [pool.submit(self._run, call, stopped) for call in step.calls]
            numbers = {future: number for number, future in enumerate(futures)}
            try:
                for future in as_completed(futures):
                    future.result()
                    step.on_done(numbers[future])
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [future.result() for future in futures]
