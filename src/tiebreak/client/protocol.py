"""What a judge can do, as steps with a server: everything about a client but the waiting."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeVar

import httpx2

from tiebreak._version import RELEASE
from tiebreak.client.batches import ROWS, body, candidate, pair, split, to_json
from tiebreak.client.responses import (
    ServedModel,
    model_of,
    orders_of,
    ranking_of,
    score_of,
    swapped_verdict_of,
    verdict_of,
)
from tiebreak.client.steps import Send, Steps, Together
from tiebreak.client.transport import KEY, exchange, unreadable
from tiebreak.errors import ComparisonsError, ModelError, ServerError
from tiebreak.judges.answer_order import (
    Swap,
    check_rankable_swap,
    least_certain,
    mean_verdict,
    swapped_count,
    swapped_share,
)
from tiebreak.judges.verdicts import Ranking, Score, Verdict, probability_array
from tiebreak.types import Comparison, Conversation

T = TypeVar("T")
TIMEOUT: Final = 240.0
"""Seconds: longer than a server takes before it gives up by itself."""
RETRIES: Final = 5
"""Within about ten seconds, if the server names no time."""
AT_ONCE: Final = 4
"""Requests under way, so that the server has the next ones while it answers the first."""
ENVELOPE: Final = 1024
"""Bytes of a body that are not rows, at most."""
TOO_MUCH: Final = ("too_large", "timed_out")
"""Refusals that half as much may not meet."""

Progress = Callable[[int], None]


class ClientProtocol:
    """A server, and what it is asked.

    Args:
        url: of the server, and of a path before `/v1` where it has one.
        api_key: what the server asks for; by default what `TIEBREAK_API_KEY` holds.
        timeout: seconds to wait for an answer.
        retries: tries of a request after the first one.
        at_once: requests of a call under way.

    Raises:
        ServerError: the URL or the key cannot be used.
    """

    def __init__(self, url: str, api_key: str | None, *, timeout: float, retries: int, at_once: int) -> None:
        self.url = _checked(url)
        self.at_once = at_once
        self._key = (api_key or os.environ.get(KEY, "")).strip()
        self._timeout = timeout
        self._retries = retries
        self._model: ServedModel | None = None
        if not self._key.isprintable():
            raise ServerError("The API key holds what no header can: give it as one line of text.")

    @property
    def http(self) -> dict[str, Any]:
        """What `httpx2.Client` and `httpx2.AsyncClient` are made with."""
        headers: dict[str, str | bytes] = {
            "user-agent": f"tiebreak/{RELEASE}",
            "content-type": "application/json",
        }
        if self._key:
            headers["authorization"] = f"Bearer {self._key}".encode()
        return {
            "base_url": self.url,
            "headers": headers,
            "timeout": httpx2.Timeout(self._timeout, connect=min(10.0, self._timeout), pool=None),
        }

    def model(self) -> Steps[ServedModel]:
        """What is served now."""
        self._model = self._read(model_of, (yield from self._ask("GET", "/v1/model")))
        return self._model

    def known_model(self) -> Steps[ServedModel]:
        """What was served when it was last asked, or is now."""
        return self._model or (yield from self.model())

    def texts(self, comparisons: int, swap: Swap) -> Steps[int]:
        """As `Judge.texts`."""
        return _texts((yield from self.known_model()), comparisons, swap)

    def compare_many(
        self, comparisons: Sequence[Comparison], swap: Swap, on_progress: Progress | None
    ) -> Steps[list[Verdict]]:
        """As `Judge.compare_many`."""
        share = swapped_share(swap)
        if not 0 < share < 1:
            return (yield from self._compare(comparisons, "average" if share else "none", verdict_of, on_progress))
        verdicts: list[Verdict] = yield from self._compare(comparisons, "none", verdict_of, on_progress)
        model = yield from self.known_model()
        if not verdicts or _is_symmetric(model):
            return verdicts
        probabilities = probability_array(verdicts)
        chosen = least_certain(probabilities, swapped_count(len(verdicts), swap)).tolist()
        rows = [comparisons[i].swap() for i in chosen]
        again: list[Verdict] = yield from self._compare(rows, "none", swapped_verdict_of, on_progress)
        for i, verdict in zip(chosen, again, strict=True):
            verdicts[i] = mean_verdict(verdicts[i], verdict)
        return verdicts

    def compare_orders(
        self, comparisons: Sequence[Comparison], on_progress: Progress | None
    ) -> Steps[list[tuple[Verdict, Verdict]]]:
        """As `Judge.compare_orders`, but for the tokens of the second verdicts: they are the first ones'."""
        return (yield from self._compare(comparisons, "average", orders_of, on_progress))

    def score_many(
        self, conversations: Sequence[Conversation], on_progress: Progress | None
    ) -> Steps[list[Score]]:  # fmt: skip
        """As `Judge.score_many`."""
        model = yield from self.known_model()
        if not model.gives_rewards:
            raise ModelError(
                f"{model.name} at {self.url} compares answers and has no reward for one alone: compare or rank "
                "several, or serve a run that was trained with model.head=pointwise."
            )
        ask = partial(self._batch, "/v1/score/batch", "conversations", {}, "scores", score_of)
        return (yield from self._in_parts(ask, list(map(candidate, conversations)), 1, on_progress))

    def rank_many(
        self,
        rows: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
        swap: Swap,
        on_progress: Progress | None,
    ) -> Steps[list[Ranking]]:
        """As `Judge.rank_many`."""
        check_rankable_swap(swap)
        for number, (prompt, answers) in enumerate(rows):
            if not answers:
                raise ComparisonsError(f"Prompt {number} has no answers: give at least one to each.")
            for answer in answers:
                Conversation(tuple(prompt), tuple(answer))  # refuses what is none, as a judge does
        rankings: list[Ranking] = yield Together(
            [self._rank(prompt, answers, swap) for prompt, answers in rows],
            lambda number: None if on_progress is None else on_progress(1),
        )
        return rankings

    def _rank(self, prompt: Sequence[str], answers: Sequence[Sequence[str]], swap: Swap) -> Steps[Ranking]:
        asked = to_json({"prompt": list(prompt), "answers": [list(answer) for answer in answers], "swap": swap})
        return self._read(ranking_of, (yield from self._ask("POST", "/v1/rank", asked.encode())))

    def _compare(
        self,
        comparisons: Sequence[Comparison],
        swap: Literal["none", "average"],
        parse: Callable[[Any], T],
        on_progress: Progress | None,
    ) -> Steps[list[T]]:
        ask = partial(self._batch, "/v1/compare/batch", "comparisons", {"swap": swap}, "verdicts", parse)
        texts = yield from self.texts(1, swap)
        return (yield from self._in_parts(ask, list(map(pair, comparisons)), texts, on_progress))

    def _in_parts(
        self,
        ask: Callable[[Sequence[str]], Steps[list[T]]],
        rows: Sequence[str],
        texts: int,
        on_progress: Progress | None,
    ) -> Steps[list[T]]:
        """Rows in as many requests as the server's limits make of them.

        Args:
            ask: a request with some of them.
            rows: as JSON.
            texts: that the server reads for each.
            on_progress: called with the number of texts.
        """
        limits = (yield from self.known_model()).limits
        # What is under way together is to fit into the queue, or these requests would keep each other out.
        count = max(1, min(ROWS, limits.texts // texts, limits.queue // (texts * self.at_once)))
        parts = list(split(rows, count, limits.body_bytes - ENVELOPE))

        def on_done(number: int) -> None:
            if on_progress is not None:
                on_progress(texts * len(parts[number]))

        answers: list[list[T]] = yield Together([ask(part) for part in parts], on_done)
        return [answer for part in answers for answer in part]

    def _batch(
        self, path: str, name: str, options: dict[str, str], answer: str, parse: Callable[[Any], T], rows: Sequence[str]
    ) -> Steps[list[T]]:
        """A request with rows; in halves, where they are too much for the server or for a proxy before it."""
        try:
            told = yield from self._ask("POST", path, body(name, rows, options))
        except ServerError as error:
            if len(rows) == 1 or not (error.status == 413 or error.type in TOO_MUCH):
                raise
        else:
            return self._read(lambda told: _parsed(told[answer], parse, len(rows)), told)
        found: list[T] = []
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            found += yield from self._batch(path, name, options, answer, parse, half)
        return found

    def _ask(self, method: str, path: str, sent: bytes | None = None) -> Steps[Any]:
        return exchange(Send(method, path, sent), self.url, self._retries)

    def _read(self, parse: Callable[[Any], T], answer: Any) -> T:
        try:
            return parse(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise unreadable(self.url, f"{type(error).__name__}: {error}") from error


def _checked(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ServerError(f"{url!r} is no URL: {error}. Give one like http://127.0.0.1:8000.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ServerError(f"{url!r} is no URL of a server: give one like http://127.0.0.1:8000.")
    return url.rstrip("/").removesuffix("/v1")  # as clients of other servers are given it


def _is_symmetric(model: ServedModel) -> bool:
    return model.kind in ("pointwise", "classical")


def _texts(model: ServedModel, comparisons: int, swap: Swap) -> int:
    """As `Judge.texts`; of a blend, whose members are not known, as if it were one judge of pairs."""
    swapped = swapped_count(comparisons, swap)
    return comparisons * (1 + model.gives_rewards) + (0 if _is_symmetric(model) else swapped)


def _parsed(answers: Any, parse: Callable[[Any], T], count: int) -> list[T]:
    if len(answers) != count:
        raise ValueError(f"{len(answers)} answers to {count}")
    return [parse(answer) for answer in answers]
