"""Rewards from comparisons, where a prompt's completions are spread over the processes of `torch.distributed`."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, log2
from typing import TYPE_CHECKING, Any, TypeVar

from tiebreak.errors import TiebreakError
from tiebreak.judges.grouping import group_by_prompt
from tiebreak.types import Conversation

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

T = TypeVar("T")


def process_count() -> int:
    """The number of processes in `torch.distributed`; 1 where it is not initialized."""
    distributed = sys.modules.get("torch.distributed")  # a client of a server may have no torch
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return 1
    return int(distributed.get_world_size())


def rewards_over_processes(
    read: Callable[[], list[Conversation]], rewards: Callable[[Sequence[Conversation]], Sequence[float | None]]
) -> list[float | None]:
    """The rewards of this process's conversations, each compared with those of all processes.

    Every process calls this together. A prompt's conversations are judged by one process.

    Args:
        read: returns the conversations of this process.
        rewards: returns the rewards of conversations; those with different prompts do not affect each other.

    Raises:
        TiebreakError: a call failed in another process. What this process's own calls raise is raised as it is.
    """
    from torch import distributed

    own: list[Conversation] = []

    def read_own() -> list[Conversation]:
        own.extend(read())
        return own

    by_process = _gather(read_own)
    rank = distributed.get_rank()
    conversations = [conversation for part in by_process for conversation in part]
    share = share_groups(conversations, len(by_process))[rank]
    parts = _gather(lambda: dict(zip(share, rewards([conversations[i] for i in share]), strict=True)))
    all_rewards = {index: reward for part in parts for index, reward in part.items()}
    first = sum(len(part) for part in by_process[:rank])
    return [all_rewards[index] for index in range(first, first + len(own))]


def share_groups(conversations: Sequence[Conversation], processes: int) -> list[list[int]]:
    """Indices of conversations per process, so that every prompt is on one process and the work is balanced.

    The largest group goes to the process with the least work, then the next (R. L. Graham, 1969).
    """
    shares: list[list[int]] = [[] for _ in range(processes)]
    loads = [(0.0, process) for process in range(processes)]
    groups = list(group_by_prompt(conversations).values())
    costs = [_cost([conversations[i] for i in indices]) for indices in groups]
    for number in sorted(range(len(groups)), key=lambda number: -costs[number]):
        load, process = heapq.heappop(loads)
        shares[process] += groups[number]
        heapq.heappush(loads, (load + costs[number], process))
    return [sorted(share) for share in shares]


def _cost(group: Sequence[Conversation]) -> float:
    """About the number of characters in the comparisons of one group."""
    opponents = min(len(group) - 1, ceil(2 * log2(len(group))))  # as in `ranking.tournaments`
    shared = sum(map(len, (*group[0].prompt, *group[0].answer[:-1])))
    return opponents * sum(shared / 2 + len(one.answer[-1]) for one in group)


def _gather(compute: Callable[[], T]) -> list[T]:
    """The results of `compute` in all processes, by rank; an error in one of them is raised in all."""
    from torch import distributed

    group = _group(distributed.group.WORLD)
    error: Exception | None = None
    outcome: tuple[T | None, str | None] = (None, None)
    try:
        outcome = (compute(), None)
    except Exception as raised:  # otherwise the other processes would wait for this one
        error, outcome = raised, (None, f"{type(raised).__name__}: {raised}")
    outcomes: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(outcomes, outcome, group=group)
    if error is not None:
        raise error
    for rank, (_, message) in enumerate(outcomes):
        if message is not None:
            raise TiebreakError(f"The reward function failed in process {rank}: {message}")
    return [result for result, _ in outcomes]


@lru_cache(maxsize=1)  # a new default group needs a new one
def _group(world: ProcessGroup) -> ProcessGroup:
    """A group of its own for rewards: their messages neither go through a GPU nor mix with those of a trainer.

    Without gloo, the default group, which sends through the current GPU.
    """
    from torch import distributed

    if not distributed.is_gloo_available():
        return world
    group: ProcessGroup = distributed.new_group(backend="gloo")
    return group
