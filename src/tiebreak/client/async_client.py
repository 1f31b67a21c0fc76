"""A client whose calls are awaited."""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx2

from tiebreak.client.protocol import AT_ONCE, RETRIES, TIMEOUT, ClientProtocol
from tiebreak.client.responses import ServedModel
from tiebreak.client.steps import Send, Step, Steps, Together, Wait
from tiebreak.errors import ServerError
from tiebreak.judges.answer_order import Swap
from tiebreak.judges.dataframes import comparisons_from_frame, verdicts_frame
from tiebreak.judges.judge import Turns, as_turns
from tiebreak.judges.verdicts import Ranking, Score, Verdict
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class AsyncClient:
    """`Client` for event loops: the methods of `Judge`, to be awaited.

    Args:
        url: as in `Client`, as are the others.
        api_key: what the server asks for.
        timeout: seconds to wait for an answer to a request.
        retries: tries after the first one.
        at_once: requests of a call under way.
        transport: httpx2's, where certificates or proxies need one of their own.

    Raises:
        ServerError: as in `Client`.
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
        self._calls = ClientProtocol(url, api_key, timeout=timeout, retries=retries, at_once=at_once)
        self._http = httpx2.AsyncClient(**self._calls.http, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._calls.url!r})"

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def model(self) -> ServedModel:
        """What is served, and within which limits; asked anew each time."""
        return await self._run(self._calls.model())

    async def compare(self, prompt: Turns, a: Turns, b: Turns, *, swap: Swap = "none") -> Verdict:
        """As `Judge.compare`."""
        comparison = Comparison(as_turns("prompt", prompt), as_turns("a", a), as_turns("b", b))
        return (await self.compare_many([comparison], swap=swap))[0]

    async def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """As `Judge.compare_many`."""
        return await self._run(self._calls.compare_many(comparisons, swap, on_progress))

    async def compare_orders(
        self, comparisons: Sequence[Comparison], *, on_progress: Callable[[int], None] | None = None
    ) -> list[tuple[Verdict, Verdict]]:
        """As `Judge.compare_orders`, but for the tokens of the second verdicts: they are the first ones'."""
        return await self._run(self._calls.compare_orders(comparisons, on_progress))

    async def compare_frame(self, frame: pd.DataFrame, *, swap: Swap = "none") -> pd.DataFrame:
        """As `Judge.compare_frame`."""
        comparisons = await asyncio.to_thread(comparisons_from_frame, frame)
        return verdicts_frame(await self.compare_many(comparisons, swap=swap), frame.index)

    async def score(self, prompt: Turns, answer: Turns) -> Score:
        """As `Judge.score`."""
        return (await self.score_many([Conversation(as_turns("prompt", prompt), as_turns("answer", answer))]))[0]

    async def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Score]:
        """As `Judge.score_many`; the server finds `groups` by itself."""
        del groups
        return await self._run(self._calls.score_many(conversations, on_progress))

    async def rank(self, prompt: Turns, answers: Sequence[Turns], *, swap: Swap = "average") -> Ranking:
        """As `Judge.rank`."""
        if isinstance(answers, str):
            raise TypeError(f"answers is {reprlib.repr(answers)}: it is a list of answers")
        turns = [as_turns(f"answers[{i}]", answer) for i, answer in enumerate(answers)]
        return (await self.rank_many([(as_turns("prompt", prompt), turns)], swap=swap))[0]

    async def rank_many(
        self,
        rows: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
        *,
        swap: Swap = "average",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Ranking]:
        """As `Judge.rank_many`: a request a prompt."""
        return await self._run(self._calls.rank_many(rows, swap, on_progress))

    async def _run(self, steps: Steps[T]) -> T:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                result: T = done.value
                return result
            answer = await self._do(step)

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Together):
            return await self._together(step)
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
            return None
        return await self._send(step)

    async def _send(self, send: Send) -> httpx2.Response | httpx2.RequestError:
        if self._http.is_closed:
            raise ServerError("This client was closed: make another one.")
        try:
            return await self._http.request(send.method, send.path, content=send.body)
        except httpx2.RequestError as error:
            return error

    async def _together(self, step: Together) -> list[Any]:
        """As tasks; the first error cancels the others, and is raised."""
        room = asyncio.Semaphore(self._calls.at_once)

        async def one(number: int, call: Steps[Any]) -> Any:
            async with room:
                result = await self._run(call)
            step.on_done(number)
            return result

        tasks = [asyncio.create_task(one(number, call)) for number, call in enumerate(step.calls)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
