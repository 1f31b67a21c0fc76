"""`AsyncClient`: methods are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

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
from tiebreak.errors import ServerError
from tiebreak.judges.answer_order import Swap, swapped_share
from tiebreak.judges.dataframes import comparisons_from_frame, verdicts_frame
from tiebreak.judges.prompts import Answer, Prompt, as_comparison, as_conversation
from tiebreak.judges.verdicts import Ranking, Score, Verdict
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    import pandas as pd

S = TypeVar("S")
T = TypeVar("T")


class AsyncClient:
    """`Client` for event loops: the methods of `Judge`, to be awaited.

    Args:
        url: as in `Client`, and so are the others.
        api_key: the server's key.
        timeout: seconds to wait for the answer to a request.
        retries: attempts after the first one.
        at_once: concurrent requests of a call.
        transport: an httpx2 transport, for certificates or proxies of your own.

    Raises:
        ServerError, ValueError: as in `Client`.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        at_once: int = AT_ONCE,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = check_url(url)
        self._retries = retries
        self._at_once = check_at_once(at_once)
        self._http = httpx2.AsyncClient(**http_options(self._url, api_key, timeout), transport=transport)
        self._model: ServedModel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._http.aclose()

    async def model(self) -> ServedModel:
        """The served judge and the server's limits, requested on each call."""
        self._model = parse_answer(parse_model, await self._request(MODEL_REQUEST), self._url)
        return self._model

    async def compare(self, prompt: Prompt, a: Answer, b: Answer, *, swap: Swap = "none") -> Verdict:
        """As `Judge.compare`."""
        return (await self.compare_many([as_comparison(prompt, a, b)], swap=swap))[0]

    async def compare_many(
        self, comparisons: Sequence[Comparison], *, swap: Swap = "none", on_progress: Progress | None = None
    ) -> list[Verdict]:
        """As `Judge.compare_many`."""
        share = swapped_share(swap)
        if share in (0, 1):
            return await self._compare(comparisons, "average" if share else "none", parse_verdict, on_progress)
        verdicts = await self._compare(comparisons, "none", parse_verdict, on_progress)
        rows = uncertain_rows(await self._known_model(), verdicts, swap)
        swapped = await self._compare([comparisons[i].swap() for i in rows], "none", parse_swapped_verdict, on_progress)
        return average_rows(verdicts, rows, swapped)

    async def compare_orders(
        self, comparisons: Sequence[Comparison], *, on_progress: Progress | None = None
    ) -> list[tuple[Verdict, Verdict]]:
        """As `Judge.compare_orders`, except that both verdicts have the token counts of the first order."""
        return await self._compare(comparisons, "average", parse_orders, on_progress)

    async def compare_frame(self, frame: pd.DataFrame, *, swap: Swap = "none") -> pd.DataFrame:
        """As `Judge.compare_frame`."""
        comparisons = await asyncio.to_thread(comparisons_from_frame, frame)
        return verdicts_frame(await self.compare_many(comparisons, swap=swap), frame.index)

    async def score(self, prompt: Prompt, answer: Answer) -> Score:
        """As `Judge.score`."""
        return (await self.score_many([as_conversation(prompt, answer)]))[0]

    async def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Progress | None = None,
    ) -> list[Score]:
        """As `Judge.score_many`; the server determines `groups` itself."""
        del groups
        call = score_call(await self._known_model(), self._url)
        rows = [conversation_json(conversation) for conversation in conversations]
        return await self._send_rows(call, rows, on_progress)

    async def rank(self, prompt: Prompt, answers: Sequence[Answer], *, swap: Swap = "average") -> Ranking:
        """As `Judge.rank`."""
        return (await self.rank_many([(prompt, answers)], swap=swap))[0]

    async def rank_many(
        self,
        rows: Sequence[tuple[Prompt, Sequence[Answer]]],
        *,
        systems: Sequence[str] | None = None,
        swap: Swap = "average",
        on_progress: Progress | None = None,
    ) -> list[Ranking]:
        """As `Judge.rank_many`, with a request for each prompt."""

        def report(_: int) -> None:
            if on_progress is not None:
                on_progress(1)

        answers = await self._map(self._request, rank_requests(rows, systems, swap), report)
        return [parse_answer(parse_ranking, answer, self._url) for answer in answers]

    async def _known_model(self) -> ServedModel:
        return self._model or await self.model()

    async def _compare(
        self,
        comparisons: Sequence[Comparison],
        swap: Literal["none", "average"],
        parse: Callable[[Any], T],
        on_progress: Progress | None,
    ) -> list[T]:
        call = compare_call(await self._known_model(), swap, parse)
        return await self._send_rows(call, [comparison_json(comparison) for comparison in comparisons], on_progress)

    async def _send_rows(self, call: BatchCall[T], rows: Sequence[str], on_progress: Progress | None) -> list[T]:
        """The results of rows, in their order, from as many requests as the server's limits demand."""
        parts = call.split(rows, (await self._known_model()).limits, self._at_once)

        def report(number: int) -> None:
            if on_progress is not None:
                on_progress(call.texts_per_row * len(parts[number]))

        results = await self._map(lambda part: self._send_part(call, part), parts, report)
        return [result for part in results for result in part]

    async def _send_part(self, call: BatchCall[T], rows: Sequence[str]) -> list[T]:
        """The results of rows that are sent in one request, or in halves if that is too large."""
        try:
            answer = await self._request(call.request(rows))
        except ServerError as error:
            if not can_halve(error, rows):
                raise
        else:
            return call.parse_results(answer, len(rows), self._url)
        half = len(rows) // 2
        return [*await self._send_part(call, rows[:half]), *await self._send_part(call, rows[half:])]

    async def _request(self, request: Request) -> Any:
        """The JSON that a request is answered with, after retries."""
        outcome: Outcome
        attempt = 0
        while True:
            check_open(self._http)
            try:
                outcome = await self._http.request(request.method, request.path, content=request.body)
                if outcome.is_success:
                    return read_json(outcome, self._url)
            except httpx2.RequestError as error:
                outcome = error
            delay = retry_or_raise(outcome, request, self._url, attempt=attempt, retries=self._retries)
            await asyncio.sleep(delay)
            attempt += 1

    async def _map(
        self, function: Callable[[S], Awaitable[T]], items: Sequence[S], on_done: Callable[[int], None]
    ) -> list[T]:
        """The function's results for each item, up to `at_once` at a time; the first error cancels the others.

        Args:
            function: awaited for each item.
            items: any number.
            on_done: called with the number of each item that is done.
        """
        room = asyncio.Semaphore(self._at_once)

        async def run(number: int, item: S) -> T:
            async with room:
                result = await function(item)
            on_done(number)
            return result

        tasks = [asyncio.create_task(run(number, item)) for number, item in enumerate(items)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
