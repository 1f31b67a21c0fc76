"""Requests join the next pass: what waits is judged together, whoever asked.

Every request is a job with a kind and rows. When the model is free, a thread takes what waits, a pass full of tokens at
most; where a pass full waits while a GPU is busy, a second thread takes and tokenises it meanwhile. Each waiting job
gives a slice of its rows a round, so that a large request does not keep a small one waiting, and a lone one waits
for nobody. What a row's answer is does not depend on what it was judged with: that is the judge's promise.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

from tiebreak.serving.errors import BusyError, DrainingError
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from tiebreak.judges import Judge

Kind = Literal["both orders", "as given", "score", "read"]
"""What is done with rows: comparisons in both orders or one, conversations scored, rendered texts read."""

SLICE: Final = 8
"""Rows a job gives a round: those that follow each other may share a prompt."""
THREADS_ON_GPU: Final = 2
"""One encodes while the other computes. On the processor itself a second one would take the first one's cores."""
CHARACTERS_PER_TOKEN: Final = 4
"""About what English texts come to; it decides only how much is taken at once."""
TOKENS_AT_ONCE: Final = 16384
"""Taken at once where the judge has no pass of its own."""


@dataclass(eq=False)
class Job:
    """The rows of a request, and where its answers go."""

    kind: Kind
    rows: Sequence[Any]
    costs: Sequence[int]
    """About how many tokens each row comes to."""
    future: Future[list[Any]] = field(default_factory=Future)
    taken: int = 0
    """Rows that were taken so far."""
    answers: dict[int, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """What the batcher is at."""

    texts: int
    """Accepted and not yet answered."""
    requests: int


class Batcher:
    """Collects rows from any number of threads and event loops, and judges them in passes.

    Args:
        judge: what judges.
        queue: texts that may wait or be judged at a time.
        on_pass: told of each pass: its rows, and the seconds it took.
    """

    def __init__(
        self, judge: Judge, *, queue: int, on_pass: Callable[[int, float], None] = lambda rows, seconds: None
    ) -> None:
        reads = judge.reads
        self._judge = judge
        self._queue = queue
        self._on_pass = on_pass
        self._tokens_at_once = reads.tokens_per_pass if reads else TOKENS_AT_ONCE
        self._longest = reads.max_length if reads else TOKENS_AT_ONCE
        self._threads_wanted = THREADS_ON_GPU if reads is not None and reads.on_gpu else 1
        self._waiting: deque[Job] = deque()
        self._waiting_tokens = 0
        self._changed = threading.Condition()
        self._busy = 0
        """Threads that have taken rows."""
        self._admitted = Counts(0, 0)
        self._draining = False
        self._stopped = False
        self._threads: list[threading.Thread] = []
        self.open()

    def open(self) -> None:
        """Take requests, for the first time or again after a `drain`."""
        with self._changed:
            self._draining = self._stopped = False
            alive = [
                thread for thread in self._threads if thread.is_alive()
            ]  # still in a pass, after a `drain` gave up
            fresh = [
                threading.Thread(target=self._work, name=f"tiebreak-judge-{i}", daemon=True)
                for i in range(self._threads_wanted - len(alive))
            ]
            self._threads = alive + fresh
            for thread in fresh:
                thread.start()

    @contextmanager
    def admitted(self, texts: int) -> Iterator[None]:
        """Room for a request of so many texts, for as long as it is under way; then `submit` takes its rows.

        A request alone is let in however large it is.

        Raises:
            BusyError: with these, more would be under way than may.
            DrainingError: the server is shutting down.
        """
        with self._changed:
            if self._draining:
                raise DrainingError
            if self._admitted.requests and self._admitted.texts + texts > self._queue:
                raise BusyError(self._admitted.texts, self._queue)
            self._count(texts, 1)
        try:
            yield
        finally:
            with self._changed:
                self._count(-texts, -1)

    def submit(self, kind: Kind, rows: Sequence[Any]) -> Future[list[Any]]:
        """Have rows judged; cancelling the future frees what has not been taken yet.

        Args:
            kind: what is done with them.
            rows: comparisons, conversations, or rendered texts, at least one; of a request that was admitted.
        """
        job = Job(kind, rows, [self._cost(kind, row) for row in rows])
        with self._changed:
            self._waiting.append(job)
            self._waiting_tokens += sum(job.costs)
            self._changed.notify_all()
        job.future.add_done_callback(lambda _: self._drop(job))
        return job.future

    @property
    def counts(self) -> Counts:
        """How much is under way."""
        with self._changed:
            return self._admitted

    @property
    def is_draining(self) -> bool:
        """Whether nothing more is admitted."""
        return self._draining

    def drain(self, seconds: float) -> bool:
        """Admit nothing more, and wait until what was accepted is answered; returns whether that was in time."""
        with self._changed:
            self._draining = True
            done = self._changed.wait_for(lambda: not self._admitted.requests, seconds)
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(1.0)
        return done

    def _count(self, texts: int, requests: int) -> None:
        self._admitted = Counts(self._admitted.texts + texts, self._admitted.requests + requests)
        self._changed.notify_all()

    def _drop(self, job: Job) -> None:
        """What of it still waits need not be judged any more."""
        with self._changed:
            self._waiting_tokens -= sum(job.costs[job.taken :])
            job.taken = len(job.rows)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._may_take())
                if self._stopped:
                    return
                batch = self._take()
                self._busy += 1
            try:
                self._judge_batch(batch)
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _may_take(self) -> bool:
        """A thread that took a few rows while the model is busy would keep others from joining them."""
        return bool(self._waiting) and (not self._busy or self._waiting_tokens >= self._tokens_at_once)

    def _take(self) -> list[tuple[Job, int]]:
        """A pass full of rows, a slice of each waiting job at a time; called with the lock held."""
        batch: list[tuple[Job, int]] = []
        tokens = 0
        while self._waiting and (tokens < self._tokens_at_once or not batch):
            job = self._waiting.popleft()
            end = min(job.taken + SLICE, len(job.rows))
            while job.taken < end and (tokens < self._tokens_at_once or not batch):
                tokens += job.costs[job.taken]
                batch.append((job, job.taken))
                job.taken += 1
            if job.taken < end:  # the pass is full: first in the next one
                self._waiting.appendleft(job)
            elif job.taken < len(job.rows):
                self._waiting.append(job)
        self._waiting_tokens -= tokens
        return batch

    def _cost(self, kind: Kind, row: Any) -> int:
        if kind == "read":
            return min(len(row) // (CHARACTERS_PER_TOKEN if isinstance(row, str) else 1) + 1, self._longest)
        texts = (
            (*row.prompt, *row.answer_a, *row.answer_b)
            if isinstance(row, Comparison)
            else (*row.prompt, *row.answer)
        )  # fmt: skip
        length = min(sum(map(len, texts)) // CHARACTERS_PER_TOKEN + 1, self._longest)
        return length * (1 if kind == "score" else self._judge.texts(1, "average" if kind == "both orders" else "none"))

    def _judge_batch(self, batch: list[tuple[Job, int]]) -> None:
        started = monotonic()
        by_kind: dict[Kind, list[tuple[Job, int]]] = {}
        for job, number in batch:
            by_kind.setdefault(job.kind, []).append((job, number))
        for kind, places in by_kind.items():
            self._judge_some(kind, places)
        self._on_pass(len(batch), monotonic() - started)

    def _judge_some(self, kind: Kind, places: list[tuple[Job, int]]) -> None:
        try:
            answers = self._ask(kind, [job.rows[number] for job, number in places])
        except Exception as error:  # whatever it is, it is an answer to those who asked, and to them alone
            jobs = list(dict.fromkeys(job for job, _ in places))
            if len(jobs) == 1:
                _fail(jobs[0], error)
                return
            for job in jobs:
                self._judge_some(kind, [place for place in places if place[0] is job])
            return
        for (job, number), answer in zip(places, answers, strict=True):
            job.answers[number] = answer
        for job in dict.fromkeys(job for job, _ in places):
            if len(job.answers) == len(job.rows):
                _answer(job)

    def _ask(self, kind: Kind, rows: list[Any]) -> Sequence[Any]:
        if kind == "both orders":
            return self._judge.compare_orders(rows)
        if kind == "as given":
            return [(verdict, None) for verdict in self._judge.compare_many(rows)]
        if kind == "score":
            return self._judge.score_many(rows)
        return self._judge.read_many(rows)


def _answer(job: Job) -> None:
    if not job.future.done() and job.future.set_running_or_notify_cancel():
        job.future.set_result([job.answers[number] for number in range(len(job.rows))])


def _fail(job: Job, error: Exception) -> None:
    if not job.future.done() and job.future.set_running_or_notify_cancel():
        job.future.set_exception(error)
