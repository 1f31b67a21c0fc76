"""`Client`: methods return when the server has answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final, Literal, Never, Self, TypeVar

import httpx2

from tiebreak.client.protocol import (
    AT_ONCE,
    MODEL_REQUEST,
    RETRIES,
    TIMEOUT,
    BatchCall,
    Progress,
    average_rows,
    can_halve,
    check_at_once,
    compare_call,
    comparison_json,
    conversation_json,
    rank_requests,
    score_call,
    texts_read,
    uncertain_rows,
)
from tiebreak.client.responses import (
    ServedModel,
    parse_answer,
    parse_model,
    parse_orders,
    parse_ranking,
    parse_swapped_verdict,
    parse_verdict,
)
from tiebreak.client.transport import Outcome, Request, check_open, check_url, http_options, read_json, retry_or_raise
from tiebreak.errors import ModelError, ServerError
from tiebreak.judges.answer_order import Swap, swapped_share
from tiebreak.judges.judge import Judge
from tiebreak.judges.prompts import Answer, Prompt
from tiebreak.judges.verdicts import Ranking, Score, Verdict
from tiebreak.types import Comparison, Conversation

S = TypeVar("S")
T = TypeVar("T")
CTRL_C_SECONDS: Final = 0.5
"""The longest delay of Ctrl-C."""


class Client(Judge):
    """A judge on a server, with the methods and results of a loaded one.

    Many rows are sent in several requests, some of them at a time. Requests that fail temporarily are retried. A client
    can be used from several threads, and in notebooks.

    Args:
        url: the address that `tiebreak serve` printed, or that of a proxy in front of it.
        api_key: the server's key; by default the value of the environment variable `TIEBREAK_API_KEY`.
        timeout: seconds to wait for the answer to a request.
        retries: attempts after the first one, if the server is unreachable, busy or shutting down.
        at_once: concurrent requests of a call.
        transport: an httpx2 transport, for certificates or proxies of your own.

    Raises:
        ServerError: the URL or the key is invalid. Methods raise it if the server is unreachable, refuses the request,
            or is not a Tiebreak server.
        ValueError: `at_once` is less than 1.

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
        self._url = check_url(url)
        self._retries = retries
        self._at_once = check_at_once(at_once)
        self._http = httpx2.Client(**http_options(self._url, api_key, timeout), transport=transport)
        self._model: ServedModel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    def close(self) -> None:
        """Close the connections to the server."""
        self._http.close()

    def model(self) -> ServedModel:
        """The served judge and the server's limits, requested on each call."""
        self._model = parse_answer(parse_model, self._request(MODEL_REQUEST), self._url)
        return self._model

    @property
    def gives_rewards(self) -> bool:
        """Whether the served judge scores single answers."""
        return self._known_model().gives_rewards

    def recalibrated(self, calibration: object) -> Never:
        """Not supported: the server applies the calibration of the run it serves (`model().calibration`)."""
        del calibration
        raise ModelError(f"The judge at {self._url} is calibrated by its server. Load the run to recalibrate it.")

    def texts(self, comparisons: int, swap: Swap) -> int:
        """As in `Judge`; a blend counts as one pairwise judge."""
        return texts_read(self._known_model(), comparisons, swap)

    def compare_many(
        self, comparisons: Sequence[Comparison], *, swap: Swap = "none", on_progress: Progress | None = None
    ) -> list[Verdict]:
        """As in `Judge`."""
        share = swapped_share(swap)
        if share in (0, 1):
            return self._compare(comparisons, "average" if share else "none", parse_verdict, on_progress)
        verdicts = self._compare(comparisons, "none", parse_verdict, on_progress)
        rows = uncertain_rows(self._known_model(), verdicts, swap)
        swapped = self._compare([comparisons[i].swap() for i in rows], "none", parse_swapped_verdict, on_progress)
        return average_rows(verdicts, rows, swapped)

    def compare_orders(
        self, comparisons: Sequence[Comparison], *, on_progress: Progress | None = None
    ) -> list[tuple[Verdict, Verdict]]:
        """As in `Judge`, except that both verdicts have the token counts of the first order."""
        return self._compare(comparisons, "average", parse_orders, on_progress)

    def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Progress | None = None,
    ) -> list[Score]:
        """As in `Judge`; the server determines `groups` itself."""
        del groups
        call = score_call(self._known_model(), self._url)
        return self._send_rows(call, [conversation_json(conversation) for conversation in conversations], on_progress)

    def rank_many(
        self,
        rows: Sequence[tuple[Prompt, Sequence[Answer]]],
        *,
        systems: Sequence[str] | None = None,
        swap: Swap = "average",
        on_progress: Progress | None = None,
    ) -> list[Ranking]:
        """As in `Judge`, with a request for each prompt."""

        def report(_: int) -> None:
            if on_progress is not None:
                on_progress(1)

        answers = self._map(self._request, rank_requests(rows, systems, swap), report)
        return [parse_answer(parse_ranking, answer, self._url) for answer in answers]

    def _known_model(self) -> ServedModel:
        return self._model or self.model()

    def _compare(
        self,
        comparisons: Sequence[Comparison],
        swap: Literal["none", "average"],
        parse: Callable[[Any], T],
        on_progress: Progress | None,
    ) -> list[T]:
        call = compare_call(self._known_model(), swap, parse)
        return self._send_rows(call, [comparison_json(comparison) for comparison in comparisons], on_progress)

    def _send_rows(self, call: BatchCall[T], rows: Sequence[str], on_progress: Progress | None) -> list[T]:
        """The results of rows, in their order, from as many requests as the server's limits demand."""
        parts = call.split(rows, self._known_model().limits, self._at_once)

        def report(number: int) -> None:
            if on_progress is not None:
                on_progress(call.texts_per_row * len(parts[number]))

        results = self._map(lambda part, stopped: self._send_part(call, part, stopped), parts, report)
        return [result for part in results for result in part]

    def _send_part(self, call: BatchCall[T], rows: Sequence[str], stopped: threading.Event) -> list[T]:
        """The results of rows that are sent in one request, or in halves if that is too large."""
        try:
            answer = self._request(call.request(rows), stopped)
        except ServerError as error:
            if not can_halve(error, rows):
                raise
        else:
            return call.parse_results(answer, len(rows), self._url)
        half = len(rows) // 2
        return [*self._send_part(call, rows[:half], stopped), *self._send_part(call, rows[half:], stopped)]

    def _request(self, request: Request, stopped: threading.Event | None = None) -> Any:
        """The JSON that a request is answered with, after retries.

        Args:
            request: what to send.
            stopped: when it is set, no further attempt is made.
        """
        stopped = stopped or threading.Event()
        outcome: Outcome
        attempt = 0
        while True:
            check_open(self._http)
            try:
                outcome = self._http.request(request.method, request.path, content=request.body)
                if outcome.is_success:
                    return read_json(outcome, self._url)
            except httpx2.RequestError as error:
                outcome = error
            delay = retry_or_raise(outcome, request, self._url, attempt=attempt, retries=self._retries)
            if stopped.wait(delay):
                raise CancelledError
            attempt += 1

    def _map(
        self, function: Callable[[S, threading.Event], T], items: Sequence[S], on_done: Callable[[int], None]
    ) -> list[T]:
        """The function's results for each item, from up to `at_once` threads.

        The first error stops the other threads. Neither it nor Ctrl-C waits for requests under way: the threads are
        daemons, unlike those of `ThreadPoolExecutor`, which the interpreter joins when it exits.

        Args:
            function: called with an item, and an event that is set when its result is no longer needed.
            items: any number.
            on_done: called in this thread with the number of each item that is done.
        """
        stopped = threading.Event()
        if len(items) == 1:
            result = function(items[0], stopped)
            on_done(0)
            return [result]
        futures: list[Future[T]] = [Future() for _ in items]
        waiting: SimpleQueue[int] = SimpleQueue()
        done: SimpleQueue[int] = SimpleQueue()
        for number in range(len(items)):
            waiting.put(number)

        def work() -> None:
            while not stopped.is_set():
                try:
                    number = waiting.get_nowait()
                except Empty:
                    return
                try:
                    futures[number].set_result(function(items[number], stopped))
                except BaseException as error:  # raised in the caller's thread
                    futures[number].set_exception(error)
                done.put(number)

        try:
            for number in range(min(self._at_once, len(items))):
                threading.Thread(target=work, name=f"tiebreak-client-{number}", daemon=True).start()
            for _ in items:
                number = _wait_for(done)
                futures[number].result()
                on_done(number)
        finally:
            stopped.set()
        return [future.result() for future in futures]


def _wait_for(queue: SimpleQueue[int]) -> int:
    """The next item. Ctrl-C does not interrupt a wait that is just beginning, or any on Windows, so waits are short."""
    while True:
        with suppress(Empty):
            return queue.get(timeout=CTRL_C_SECONDS)
