"""Dynamic batching: rows of concurrent requests share passes through the model.

Each request is a `Job` with rows of one kind. When the model is free, a worker thread takes queued rows, up to one
pass of tokens. On a GPU a second worker takes and tokenises the next full pass meanwhile. Jobs give a slice of rows
in turn, so that a small request does not wait for a large one. A lone request is judged at once.

Results do not depend on batching: `Judge` guarantees it.
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

Kind = Literal["both orders", "as given", "logits", "score", "read"]
"""What is done with rows: comparisons judged in both orders or in one, or read for their logits; conversations scored;
rendered texts read."""

SLICE: Final = 8
"""Rows that a job gives in turn: consecutive rows may share a prompt."""
GPU_WORKERS: Final = 2
"""One tokenises while the other computes. Without a GPU they would compete for the same cores."""
CHARACTERS_PER_TOKEN: Final = 4
"""A rough average for English; it only affects how many rows a pass gets."""
DEFAULT_PASS_TOKENS: Final = 16384
"""Tokens of a pass for judges without a token budget."""


@dataclass(eq=False)
class Job:
    """The rows of a request, and their results."""

    kind: Kind
    rows: Sequence[Any]
    costs: Sequence[int]
    """An estimate of each row's tokens."""
    future: Future[list[Any]] = field(default_factory=Future)
    next_row: int = 0
    """The first row that no worker has taken."""
    results: dict[int, Any] = field(default_factory=dict)
    """By row."""

    def finish(self) -> None:
        """Resolve the future if every row has a result."""
        if len(self.results) == len(self.rows) and self._is_wanted():
            self.future.set_result([self.results[row] for row in range(len(self.rows))])

    def fail(self, error: Exception) -> None:
        """Resolve the future with an error."""
        if self._is_wanted():
            self.future.set_exception(error)

    def _is_wanted(self) -> bool:
        return not self.future.done() and self.future.set_running_or_notify_cancel()


@dataclass(frozen=True)
class InFlight:
    """Accepted and not yet answered."""

    texts: int
    requests: int


class Batcher:
    """Collects rows from any number of threads and event loops, and judges them in passes.

    Args:
        judge: judges the rows.
        queue: texts that may be in flight.
        on_pass: called after each pass with its number of rows and its seconds.
    """

    def __init__(
        self, judge: Judge, *, queue: int, on_pass: Callable[[int, float], None] = lambda rows, seconds: None
    ) -> None:
        reads = judge.reads
        self._judge = judge
        self._queue = queue
        self._on_pass = on_pass
        self._pass_tokens = reads.tokens_per_pass if reads else DEFAULT_PASS_TOKENS
        self._max_length = reads.max_length if reads else DEFAULT_PASS_TOKENS
        self._worker_count = GPU_WORKERS if reads is not None and reads.on_gpu else 1
        self._waiting: deque[Job] = deque()
        self._waiting_tokens = 0
        self._changed = threading.Condition()
        self._busy_workers = 0
        self._in_flight = InFlight(0, 0)
        self._draining = False
        self._stopped = False
        self._workers: list[threading.Thread] = []
        self.start()

    def start(self) -> None:
        """Accept requests; also after a `drain`."""
        with self._changed:
            self._draining = self._stopped = False
            # After a `drain` that timed out a worker may still be in a pass.
            alive = [worker for worker in self._workers if worker.is_alive()]
            started = [
                threading.Thread(target=self._work, name=f"tiebreak-judge-{i}", daemon=True)
                for i in range(self._worker_count - len(alive))
            ]
            self._workers = alive + started
            for worker in started:
                worker.start()

    @contextmanager
    def admit(self, texts: int) -> Iterator[None]:
        """Reserve room in the queue for a request while it is in flight; `submit` its rows inside.

        A request larger than the queue is admitted if no other is in flight.

        Args:
            texts: that the judge reads for the request.

        Raises:
            BusyError: the queue has no room for it.
            DrainingError: the server is shutting down.
        """
        with self._changed:
            if self._draining:
                raise DrainingError
            if self._in_flight.requests and self._in_flight.texts + texts > self._queue:
                raise BusyError(self._in_flight.texts, self._queue)
            self._count(texts, 1)
        try:
            yield
        finally:
            with self._changed:
                self._count(-texts, -1)

    def submit(self, kind: Kind, rows: Sequence[Any]) -> Future[list[Any]]:
        """Queue rows of an admitted request. Cancelling the future drops the rows that are still queued.

        Args:
            kind: what is done with them.
            rows: comparisons, conversations, or rendered texts; at least one.
        """
        job = Job(kind, rows, [self._cost(kind, row) for row in rows])
        with self._changed:
            self._waiting.append(job)
            self._waiting_tokens += sum(job.costs)
            self._changed.notify_all()
        job.future.add_done_callback(lambda _: self._drop(job))
        return job.future

    @property
    def in_flight(self) -> InFlight:
        """What is accepted and not yet answered."""
        with self._changed:
            return self._in_flight

    @property
    def is_draining(self) -> bool:
        """Whether new requests are refused."""
        return self._draining

    def drain(self, seconds: float) -> bool:
        """Refuse new requests, and wait for those in flight; returns whether all were answered in time."""
        with self._changed:
            self._draining = True
            done = self._changed.wait_for(lambda: not self._in_flight.requests, seconds)
            self._stopped = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join(1.0)
        return done

    def _count(self, texts: int, requests: int) -> None:
        self._in_flight = InFlight(self._in_flight.texts + texts, self._in_flight.requests + requests)
        self._changed.notify_all()

    def _drop(self, job: Job) -> None:
        with self._changed:
            self._waiting_tokens -= sum(job.costs[job.next_row :])
            job.next_row = len(job.rows)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._can_start_pass())
                if self._stopped:
                    return
                batch = self._take_batch()
                self._busy_workers += 1
            try:
                self._judge_batch(batch)
            finally:
                with self._changed:
                    self._busy_workers -= 1
                    self._changed.notify_all()

    def _can_start_pass(self) -> bool:
        """While the model is busy, a worker waits for a full pass: other rows could not join a smaller one."""
        return bool(self._waiting) and (not self._busy_workers or self._waiting_tokens >= self._pass_tokens)

    def _take_batch(self) -> list[tuple[Job, int]]:
        """Jobs and row numbers for one pass, a slice of each job in turn. The lock is held."""
        batch: list[tuple[Job, int]] = []
        tokens = 0
        while self._waiting and (tokens < self._pass_tokens or not batch):
            job = self._waiting.popleft()
            end = min(job.next_row + SLICE, len(job.rows))
            while job.next_row < end and (tokens < self._pass_tokens or not batch):
                tokens += job.costs[job.next_row]
                batch.append((job, job.next_row))
                job.next_row += 1
            if job.next_row < end:  # the pass is full: first in the next one
                self._waiting.appendleft(job)
            elif job.next_row < len(job.rows):
                self._waiting.append(job)
        self._waiting_tokens -= tokens
        return batch

    def _cost(self, kind: Kind, row: Any) -> int:
        if kind == "read":
            return min(len(row) // (CHARACTERS_PER_TOKEN if isinstance(row, str) else 1) + 1, self._max_length)
        answers = (*row.answer_a, *row.answer_b) if isinstance(row, Comparison) else row.answer
        characters = sum(map(len, (*row.prompt, *answers)))
        tokens = min(characters // CHARACTERS_PER_TOKEN + 1, self._max_length)
        return tokens * (1 if kind == "score" else self._judge.texts(1, "average" if kind == "both orders" else "none"))

    def _judge_batch(self, batch: list[tuple[Job, int]]) -> None:
        started = monotonic()
        by_kind: dict[Kind, list[tuple[Job, int]]] = {}
        for job, row in batch:
            by_kind.setdefault(job.kind, []).append((job, row))
        for kind, rows in by_kind.items():
            self._judge_rows(kind, rows)
        self._on_pass(len(batch), monotonic() - started)

    def _judge_rows(self, kind: Kind, rows: list[tuple[Job, int]]) -> None:
        """Judge rows of one kind together; after an error, each job alone, so that only the faulty one fails."""
        jobs = list(dict.fromkeys(job for job, _ in rows))
        try:
            results = self._call_judge(kind, [job.rows[row] for job, row in rows])
        except Exception as error:  # any error of the judge is the answer to the job that caused it
            if len(jobs) == 1:
                jobs[0].fail(error)
                return
            for job in jobs:
                self._judge_rows(kind, [(owner, row) for owner, row in rows if owner is job])
            return
        for (job, row), result in zip(rows, results, strict=True):
            job.results[row] = result
        for job in jobs:
            job.finish()

    def _call_judge(self, kind: Kind, rows: list[Any]) -> Sequence[Any]:
        if kind == "both orders":
            return self._judge.compare_orders(rows)
        if kind == "as given":
            return [(verdict, None) for verdict in self._judge.compare_many(rows)]
        if kind == "logits":
            return self._judge.logits_many(rows)
        if kind == "score":
            return self._judge.score_many(rows)
        return self._judge.read_many(rows)
