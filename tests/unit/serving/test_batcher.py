"""Which rows share a pass, in which order, and which are dropped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from queue import SimpleQueue

import pytest

from tests.unit.serving.judges import FakeJudge, comparison
from tiebreak.judges import Verdict
from tiebreak.serving.batcher import SLICE, Batcher
from tiebreak.serving.errors import BusyError, DrainingError
from tiebreak.types import Conversation

LONG = "x" * 400
"""A prompt of 100 tokens, by the batcher's estimate."""


@pytest.fixture
def judge() -> Iterator[FakeJudge]:
    judge = FakeJudge()
    yield judge
    judge.gate.set()


@pytest.fixture
def batcher(judge: FakeJudge) -> Iterator[Batcher]:
    batcher = Batcher(judge, queue=100)
    yield batcher
    judge.gate.set()
    batcher.drain(5)


def hold(judge: FakeJudge, batcher: Batcher) -> None:
    """A pass that does not end until the gate is opened."""
    judge.gate.clear()
    batcher.submit("as given", [comparison("held")])
    assert judge.begun.acquire(timeout=5)


def test_a_lone_request_is_judged_at_once(judge: FakeJudge, batcher: Batcher) -> None:
    [(verdict, other)] = batcher.submit("as given", [comparison("alone")]).result(5)
    assert verdict == Verdict(0.8, 0.1, 0.1, 0, 10)
    assert other is None
    assert judge.passes == [["alone"]]


def test_queued_requests_share_passes(judge: FakeJudge, batcher: Batcher) -> None:
    hold(judge, batcher)
    first = batcher.submit("as given", [comparison("a"), comparison("b", "bad", "good")])
    second = batcher.submit("as given", [comparison("c", "fair", "fair")])
    scored = batcher.submit("score", [Conversation(("d",), ("fair",))])
    judge.gate.set()
    assert [round(v.model_a, 6) for v, _ in first.result(5)] == [0.8, 0.2]
    assert [round(v.model_a, 6) for v, _ in second.result(5)] == [0.5]
    assert [score.reward for score in scored.result(5)] == [1.0]
    assert judge.passes == [["held"], ["a", "b", "c"], ["d"]]


def test_both_orders_report_a_as_given(batcher: Batcher) -> None:
    [(given, swapped)] = batcher.submit("both orders", [comparison("p")]).result(5)
    assert given.model_a == pytest.approx(0.8)
    assert swapped.model_a == pytest.approx(0.7)  # B first: 0.1 + 0.1 for B, and the place is worth 0.1
    assert swapped.tie == given.tie


def test_a_pass_is_limited_by_tokens(judge: FakeJudge, batcher: Batcher) -> None:
    hold(judge, batcher)
    futures = [batcher.submit("as given", [comparison(LONG[: 4 * 24] + str(i))]) for i in range(10)]
    judge.gate.set()
    for future in futures:
        future.result(5)
    # About 26 tokens each: four reach the hundred.
    assert [len(rows) for rows in judge.passes[1:]] == [4, 4, 2]


def test_a_row_larger_than_a_pass_is_judged_alone(judge: FakeJudge, batcher: Batcher) -> None:
    hold(judge, batcher)
    futures = [batcher.submit("as given", [comparison(LONG * 3 + str(i))]) for i in range(2)]
    judge.gate.set()
    for future in futures:
        future.result(5)
    assert [len(rows) for rows in judge.passes[1:]] == [1, 1]


def test_a_large_request_does_not_keep_a_small_one_waiting(judge: FakeJudge, batcher: Batcher) -> None:
    hold(judge, batcher)
    large = batcher.submit("as given", [comparison(f"large {i}") for i in range(5 * SLICE)])
    small = batcher.submit("as given", [comparison("small")])
    judge.gate.set()
    small.result(5)
    large.result(5)
    place = [row for rows in judge.passes[1:] for row in rows].index("small")
    assert place == SLICE
    assert sum(map(len, judge.passes)) == 5 * SLICE + 2


def test_only_the_faulty_request_fails(judge: FakeJudge, batcher: Batcher) -> None:
    hold(judge, batcher)
    good = batcher.submit("as given", [comparison("good")])
    bad = batcher.submit("as given", [comparison("bad", "poison")])
    other = batcher.submit("as given", [comparison("other")])
    judge.gate.set()
    assert len(good.result(5)) == len(other.result(5)) == 1
    with pytest.raises(RuntimeError, match="poisoned"):
        bad.result(5)
    assert len(batcher.submit("as given", [comparison("after")]).result(5)) == 1


def test_cancelled_requests_are_not_judged(judge: FakeJudge, batcher: Batcher) -> None:
    hold(judge, batcher)
    left = batcher.submit("as given", [comparison(f"left {i}") for i in range(30)])
    kept = batcher.submit("as given", [comparison("kept")])
    assert left.cancel()
    judge.gate.set()
    kept.result(5)
    assert judge.passes == [["held"], ["kept"]]


def decisions(batcher: Batcher) -> SimpleQueue[bool]:
    """What idle workers decide from now on, whenever rows are queued: whether they start a pass."""
    results: SimpleQueue[bool] = SimpleQueue()
    decide = batcher._can_start_pass

    def recorded() -> bool:
        decision = decide()
        if batcher._waiting:
            results.put(decision)
        return decision

    batcher._can_start_pass = recorded  # type: ignore[method-assign]
    return results


def test_a_second_worker_takes_a_full_pass_while_a_gpu_is_busy() -> None:
    judge = FakeJudge(on_gpu=True)
    batcher = Batcher(judge, queue=100)
    hold(judge, batcher)
    results = decisions(batcher)
    batcher.submit("as given", [comparison("few")])
    assert results.get(timeout=5) is False  # it waits for more rows
    batcher.submit("as given", [comparison(LONG)])
    assert judge.begun.acquire(timeout=5)
    assert judge.passes[1] == ["few", LONG]
    judge.gate.set()
    assert batcher.drain(5)


def test_without_a_gpu_there_is_one_worker(judge: FakeJudge, batcher: Batcher) -> None:
    assert len(batcher._workers) == 1
    hold(judge, batcher)
    waiting = batcher.submit("as given", [comparison(LONG)])
    judge.gate.set()
    waiting.result(5)
    assert judge.passes == [["held"], [LONG]]


def test_a_full_queue_refuses_but_admits_a_lone_request(batcher: Batcher) -> None:
    with batcher.admit(1000):  # larger than the queue, and alone
        assert (batcher.in_flight.texts, batcher.in_flight.requests) == (1000, 1)
        with pytest.raises(BusyError, match=r"Queue is full \(1,000 of 100 texts\)"), batcher.admit(1):
            pass
    assert (batcher.in_flight.texts, batcher.in_flight.requests) == (0, 0)
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(batcher.admit(10))
        with pytest.raises(BusyError), batcher.admit(1):
            pass


def test_draining_finishes_accepted_requests_and_refuses_new_ones(judge: FakeJudge) -> None:
    batcher = Batcher(judge, queue=100)
    accepted = threading.Event()
    answers: list[int] = []

    def request() -> None:
        with batcher.admit(40):
            future = batcher.submit("as given", [comparison(f"{i}") for i in range(40)])
            accepted.set()
            answers.append(len(future.result(5)))

    judge.gate.clear()
    asking = threading.Thread(target=request)
    asking.start()
    assert accepted.wait(5)
    drained: list[bool] = []
    draining = threading.Thread(target=lambda: drained.append(batcher.drain(10)))
    draining.start()
    while not batcher.is_draining:
        pass
    with pytest.raises(DrainingError), batcher.admit(1):
        pass
    judge.gate.set()
    for thread in (asking, draining):
        thread.join(10)
    assert answers == [40]
    assert drained == [True]


def test_draining_times_out(judge: FakeJudge) -> None:
    batcher = Batcher(judge, queue=100)
    judge.gate.clear()
    with batcher.admit(1):
        batcher.submit("as given", [comparison("held")])
        assert not batcher.drain(0.05)
    judge.gate.set()


def test_every_row_is_answered_once_under_many_threads(judge: FakeJudge) -> None:
    batcher = Batcher(judge, queue=10_000)
    wrong: list[object] = []

    def client(number: int) -> None:
        for i in range(25):
            rows = [comparison(f"{number}-{i}-{j}", *(("good", "bad") if j % 2 else ("bad", "good"))) for j in range(3)]
            found = [round(v.model_a, 6) for v, _ in batcher.submit("as given", rows).result(10)]
            if found != [0.2, 0.8, 0.2]:
                wrong.append(found)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    judged = [row for rows in judge.passes for row in rows]
    assert len(judged) == len(set(judged)) == 8 * 25 * 3
    assert batcher.drain(5)
