"""The judge as routes call it: whole requests, awaited, within the server's limits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from tiebreak.data.chat_templates import ChatTemplateError, ExactChatParser
from tiebreak.formatting import pluralize
from tiebreak.judges.answer_order import mean_verdict
from tiebreak.judges.reward_model import ranking_of
from tiebreak.judges.tournament_ranking import TournamentRankingJudge
from tiebreak.rewards.policy import policy_parser
from tiebreak.serving.batcher import Batcher, InFlight, Kind
from tiebreak.serving.errors import InvalidRequestError, TimedOutError, TooLargeError
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from tiebreak.data.chat_templates import RenderedTextParser
    from tiebreak.judges import HeadOutput, InputLimits, Judge, Ranking, Score, Swap, Verdict

T = TypeVar("T")
CONCURRENT_TOURNAMENTS: Final = 32
"""Further rankings by a pairwise judge wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the server."""

    body_bytes: int = 8 * 1024 * 1024
    """Of a request's body."""
    texts: int = 4096
    """Texts that the judge may read for one request."""
    queue: int = 8192
    """Texts queued or being judged."""
    seconds: float = 180.0
    """Time limit of a request."""


class JudgeService:
    """The judge behind every route.

    Args:
        judge: the judge to serve.
        name: the model name for clients.
        limits: of requests and the queue.
        on_pass: as in `Batcher`.
        policy: parses rendered texts; by default with all templates that are known.
    """

    def __init__(
        self,
        judge: Judge,
        name: str,
        limits: Limits,
        on_pass: Callable[[int, float], None] = lambda rows, seconds: None,
        policy: RenderedTextParser | None = None,
    ) -> None:
        self.name = name
        self.policy = policy or policy_parser(own=None if judge.reads is None else judge.reads.chat_template)
        self.limits = limits
        self._judge = judge
        self._batcher = Batcher(judge, queue=limits.queue, on_pass=on_pass)
        self._tournaments = ThreadPoolExecutor(CONCURRENT_TOURNAMENTS, "tiebreak-rank")

    def start(self) -> None:
        """Accept requests again, after a `drain`."""
        self._batcher.start()

    @property
    def gives_rewards(self) -> bool:
        """Whether it scores single answers."""
        return self._judge.gives_rewards

    @property
    def is_calibrated(self) -> bool:
        """Whether its probabilities are calibrated."""
        return self._judge.calibration is not None

    @property
    def calibration(self) -> str | None:
        """The kind of calibration map; None without one."""
        calibration = self._judge.calibration
        return None if calibration is None else calibration.map.method

    @property
    def is_draining(self) -> bool:
        """Whether the server is shutting down."""
        return self._batcher.is_draining

    @property
    def reads(self) -> InputLimits | None:
        """As in `Judge`."""
        return self._judge.reads

    @cached_property
    def own_chat(self) -> ExactChatParser | None:
        """Parses texts in the chat template that the judge reads; None if it reads none, or one without an inverse."""
        if self.reads is None or self.reads.chat_template is None:
            return None
        try:
            return ExactChatParser(self.reads.chat_template)
        except ChatTemplateError:
            return None

    @property
    def in_flight(self) -> InFlight:
        """What is accepted and not yet answered."""
        return self._batcher.in_flight

    def drain(self, seconds: float) -> bool:
        """Refuse new requests, and wait for those in flight; returns whether all were answered in time."""
        return self._batcher.drain(seconds)

    async def compare(
        self, comparisons: Sequence[Comparison], *, swap: Literal["none", "average"], truncate: bool = True
    ) -> list[tuple[Verdict, Verdict | None]]:
        """Verdicts, each in the order given and, with `swap="average"`, in the other one; A is the same answer in both.

        Raises:
            ServingError: the request or the queue is over a limit, or a comparison is too long and `truncate` is false.
        """
        kind = _comparison_kind(swap)
        texts = self._judge.texts(len(comparisons), swap)
        verdicts: list[tuple[Verdict, Verdict | None]] = await self._submit(kind, comparisons, texts)
        self._check_not_truncated([verdict.tokens_lost for verdict, _ in verdicts], truncate)
        return verdicts

    async def score(self, conversations: Sequence[Conversation], *, truncate: bool = True) -> list[Score]:
        """The reward of each answer.

        Raises:
            ServingError: as in `compare`; or the judge cannot score a single answer.
        """
        if not self.gives_rewards:
            raise InvalidRequestError(
                f"{self.name} is a pairwise judge and cannot score a single answer. Compare two (POST /v1/compare), "
                "rank several (POST /v1/rank), or serve a run that was trained with model.head=pointwise."
            )
        scores: list[Score] = await self._submit("score", conversations, len(conversations))
        self._check_not_truncated([score.tokens_lost for score in scores], truncate)
        return scores

    async def read(self, texts: Sequence[str | Sequence[int]], *, truncate: bool = True) -> list[HeadOutput]:
        """The head's outputs for rendered texts, or for their token ids.

        Raises:
            ServingError: as in `compare`; or the judge has no head, or a token id is invalid.
        """
        if self.reads is None:
            raise InvalidRequestError(
                f"{self.name} has no language model with a head that reads rendered texts. Compare two answers "
                "(POST /v1/compare), or serve the run of a fine-tuned model."
            )
        try:
            outputs: list[HeadOutput] = await self._submit("read", texts, len(texts))
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error
        self._check_not_truncated([output.tokens_lost for output in outputs], truncate)
        return outputs

    async def logits(self, comparisons: Sequence[Comparison], *, truncate: bool = True) -> list[HeadOutput]:
        """The head's outputs for comparisons, each in the order given.

        Raises:
            ServingError: as in `compare`; or the judge has no logits.
        """
        if self.reads is None:
            raise InvalidRequestError(
                f"{self.name} has no logits. Request probabilities instead (use_activation: true)."
            )
        outputs: list[HeadOutput] = await self._submit("logits", comparisons, len(comparisons))
        self._check_not_truncated([output.tokens_lost for output in outputs], truncate)
        return outputs

    async def rank(
        self,
        conversations: Sequence[Conversation],
        *,
        swap: Literal["none", "average"] = "average",
        truncate: bool = True,
    ) -> Ranking:
        """The ranking of answers to one prompt, which all conversations begin with.

        Raises:
            ServingError: as in `compare`.
        """
        if self.gives_rewards:
            return ranking_of(await self.score(conversations, truncate=truncate))
        # One comparison per answer, about a round: room for the whole tournament would keep other requests out.
        texts = self._judge.texts(len(conversations), swap)
        self._check_size(texts)
        tournament = _Tournament(self._judge, self._batcher)
        row = (conversations[0].prompt, [conversation.answer for conversation in conversations])
        systems = [conversations[0].system]
        with self._batcher.admit(texts):
            running = asyncio.get_running_loop().run_in_executor(
                self._tournaments, lambda: tournament.rank_many([row], systems=systems, swap=swap)
            )
            try:
                [ranking] = await self._within_time_limit(running)
            finally:
                tournament.stop()
        self._check_not_truncated([ranking.tokens_lost], truncate)
        return ranking

    async def _submit(self, kind: Kind, rows: Sequence[Any], texts: int) -> list[Any]:
        self._check_size(texts)
        with self._batcher.admit(texts):
            return await self._within_time_limit(asyncio.wrap_future(self._batcher.submit(kind, rows)))

    async def _within_time_limit(self, result: asyncio.Future[T]) -> T:
        """A result within the time limit. A timeout cancels it, as a disconnect does, which drops its queued rows."""
        try:
            return await asyncio.wait_for(result, self.limits.seconds)
        except TimeoutError:
            raise TimedOutError(self.limits.seconds) from None

    def _check_size(self, texts: int) -> None:
        if texts > self.limits.texts:
            raise TooLargeError(
                f"The judge would read {pluralize(texts, 'text')} for this request, over the limit of "
                f"{self.limits.texts:,}. Split the request."
            )

    def _check_not_truncated(self, lost: Sequence[int], truncate: bool) -> None:
        worst = max(lost, default=0)
        if worst and not truncate:
            limit = f" of {self.reads.max_length:,} tokens" if self.reads else ""
            raise InvalidRequestError(
                f"A text is {worst:,} tokens over the judge's limit{limit}. Shorten it, or allow truncation "
                "(truncate: true)."
            )


def _comparison_kind(swap: Swap) -> Kind:
    return "both orders" if swap == "average" else "as given"


class _Tournament(TournamentRankingJudge):
    """Ranks with a pairwise judge, in a thread of its own, through the batcher: its comparisons share passes."""

    def __init__(self, judge: Judge, batcher: Batcher) -> None:
        super().__init__(judge.calibration)
        self._judge = judge
        self._batcher = batcher
        self._stopped = threading.Event()
        self._submitted: Future[list[Any]] | None = None

    def stop(self) -> None:
        """Cancel it: its result is no longer needed."""
        self._stopped.set()
        if self._submitted is not None:
            self._submitted.cancel()

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
        """As in `Judge`, for `none` and `average` only."""
        if not comparisons:
            return []
        if self._stopped.is_set():
            raise CancelledError
        self._submitted = self._batcher.submit(_comparison_kind(swap), comparisons)
        verdicts: list[tuple[Verdict, Verdict | None]] = self._submitted.result()
        return [first if second is None else mean_verdict(first, second) for first, second in verdicts]
