"""A judge as the server's routes ask it: whole requests in, awaited answers out, within limits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from tiebreak.formatting import pluralize
from tiebreak.judges.answer_order import mean_verdict
from tiebreak.judges.reward_model import ranking_of
from tiebreak.judges.tournament_ranking import TournamentRankingJudge
from tiebreak.serving.batcher import Batcher, Counts, Kind
from tiebreak.serving.errors import InvalidRequestError, TimedOutError, TooLargeError
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from tiebreak.judges import HeadOutput, InputLimits, Judge, Ranking, Score, Swap, Verdict

T = TypeVar("T")
RANKINGS_AT_ONCE: Final = 32
"""Tournaments under way; others wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes."""

    body_bytes: int = 8 * 1024 * 1024
    """Of a request's body."""
    texts: int = 4096
    """A request may have read."""
    queue: int = 8192
    """Texts that may wait or be judged at a time."""
    seconds: float = 180.0
    """After which a request is given up."""


class JudgeService:
    """The judge behind every dialect.

    Args:
        judge: what judges.
        name: what clients call it.
        limits: what a request may ask for.
        on_pass: as in `Batcher`.
    """

    def __init__(
        self,
        judge: Judge,
        name: str,
        limits: Limits,
        on_pass: Callable[[int, float], None] = lambda rows, seconds: None,
    ) -> None:
        self.name = name
        self.limits = limits
        self._judge = judge
        self._batcher = Batcher(judge, queue=limits.queue, on_pass=on_pass)
        self._tournaments = ThreadPoolExecutor(RANKINGS_AT_ONCE, "tiebreak-rank")

    def open(self) -> None:
        """Take requests again, after a `drain`."""
        self._batcher.open()

    @property
    def gives_rewards(self) -> bool:
        """Whether it scores an answer alone."""
        return self._judge.gives_rewards

    @property
    def is_calibrated(self) -> bool:
        """Whether its probabilities go through a calibration."""
        return self._judge.calibration is not None

    @property
    def calibration(self) -> str | None:
        """The kind of map that probabilities go through."""
        calibration = self._judge.calibration
        return None if calibration is None else calibration.map.method

    @property
    def is_draining(self) -> bool:
        """Whether the server is shutting down."""
        return self._batcher.is_draining

    @property
    def reads(self) -> InputLimits | None:
        """How much it reads, and around what; None where that is not one language model's."""
        return self._judge.reads

    @property
    def counts(self) -> Counts:
        """How much is under way."""
        return self._batcher.counts

    def drain(self, seconds: float) -> bool:
        """Take nothing more, and finish what was accepted; returns whether that was in time."""
        return self._batcher.drain(seconds)

    async def compare(
        self, comparisons: Sequence[Comparison], *, swap: Literal["none", "average"], truncate: bool = True
    ) -> list[tuple[Verdict, Verdict | None]]:
        """The verdict as given, and with the answers exchanged where `swap` is average; both told as given.

        Raises:
            ServingError: there are too many, too many wait, or one is too long and not to be cut.
        """
        kind: Kind = "both orders" if swap == "average" else "as given"
        texts = self._judge.texts(len(comparisons), swap)
        found: list[tuple[Verdict, Verdict | None]] = await self._submit(kind, comparisons, texts)
        self._check_not_truncated([verdict.tokens_lost for verdict, _ in found], truncate)
        return found

    async def score(self, conversations: Sequence[Conversation], *, truncate: bool = True) -> list[Score]:
        """The reward of each answer.

        Raises:
            ServingError: as in `compare`; or the judge has no reward for an answer alone.
        """
        if not self.gives_rewards:
            raise InvalidRequestError(
                f"{self.name} compares answers and has no reward for one alone: compare two (POST /v1/compare), rank "
                "several (POST /v1/rank), or serve a run that was trained with model.head=pointwise."
            )
        found: list[Score] = await self._submit("score", conversations, len(conversations))
        self._check_not_truncated([score.tokens_lost for score in found], truncate)
        return found

    async def read(self, texts: Sequence[str | Sequence[int]], *, truncate: bool = True) -> list[HeadOutput]:
        """What the head gives for texts that were rendered elsewhere.

        Raises:
            ServingError: as in `compare`; or the judge has no head of its own, or an id is no token's.
        """
        if self.reads is None:
            raise InvalidRequestError(
                f"{self.name} has no language model with a head to read a text with: compare two answers "
                "(POST /v1/compare), or serve the run of a fine-tuned model."
            )
        try:
            found: list[HeadOutput] = await self._submit("read", texts, len(texts))
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error
        self._check_not_truncated([reading.tokens_lost for reading in found], truncate)
        return found

    async def rank(
        self,
        prompt: Sequence[str],
        answers: Sequence[Sequence[str]],
        *,
        swap: Literal["none", "average"] = "average",
        truncate: bool = True,
    ) -> Ranking:
        """Answers to one prompt, scored and ranked.

        Raises:
            ServingError: as in `compare`.
        """
        if self.gives_rewards:
            scores = await self.score([Conversation(tuple(prompt), tuple(a)) for a in answers], truncate=truncate)
            return ranking_of(scores)
        # Of a tournament's comparisons a part is under way at a time: all of them would keep others out.
        texts = self._judge.texts(len(answers), swap)
        self._check_size(texts)
        tournament = _Tournament(self._judge, self._batcher)
        with self._batcher.admitted(texts):
            running = asyncio.get_running_loop().run_in_executor(
                self._tournaments, lambda: tournament.rank_many([(prompt, answers)], swap=swap)
            )
            try:
                [ranking] = await self._within(running)
            finally:
                tournament.stop()
        self._check_not_truncated([ranking.tokens_lost], truncate)
        return ranking

    async def _submit(self, kind: Kind, rows: Sequence[Any], texts: int) -> list[Any]:
        self._check_size(texts)
        with self._batcher.admitted(texts):
            return await self._within(asyncio.wrap_future(self._batcher.submit(kind, rows)))

    async def _within(self, awaited: asyncio.Future[T]) -> T:
        """Given up after a time; that frees what has not been judged yet, as does a client that went away."""
        try:
            return await asyncio.wait_for(awaited, self.limits.seconds)
        except TimeoutError:
            raise TimedOutError(self.limits.seconds) from None

    def _check_size(self, texts: int) -> None:
        if texts > self.limits.texts:
            raise TooLargeError(
                f"The request has {pluralize(texts, 'text')} read, and may have {self.limits.texts:,}: split it."
            )

    def _check_not_truncated(self, lost: Sequence[int], truncate: bool) -> None:
        worst = max(lost, default=0)
        if worst and not truncate:
            most = f" of at most {self.reads.max_length:,} tokens" if self.reads else ""
            raise InvalidRequestError(
                f"Not all of it fits: {worst:,} tokens more than a text{most} has room for. Shorten it, or let it be "
                "cut (truncate: true)."
            )


class _Tournament(TournamentRankingJudge):
    """A judge of pairs whose comparisons join everyone's passes; for a thread of its own."""

    def __init__(self, judge: Judge, batcher: Batcher) -> None:
        super().__init__(judge.calibration)
        self._judge = judge
        self._batcher = batcher
        self._stopped = threading.Event()
        self._under_way: Future[list[Any]] | None = None

    def stop(self) -> None:
        """Nobody waits for it any more."""
        self._stopped.set()
        if self._under_way is not None:
            self._under_way.cancel()

    def texts(self, comparisons: int, swap: Swap) -> int:
        """As the judge's."""
        return self._judge.texts(comparisons, swap)

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """As in `Judge`, for `none` and `average`."""
        if not comparisons:
            return []
        if self._stopped.is_set():
            raise CancelledError
        kind: Kind = "both orders" if swap == "average" else "as given"
        self._under_way = self._batcher.submit(kind, comparisons)
        return [first if second is None else mean_verdict(first, second) for first, second in self._under_way.result()]
