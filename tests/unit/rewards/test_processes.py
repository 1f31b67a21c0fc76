"""A prompt's completions on several processes are compared as in one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.processes import run_processes
from tiebreak import Conversation, Verdict, reward_function
from tiebreak.judges import Swap
from tiebreak.judges.grouping import group_by_prompt
from tiebreak.judges.tournament_ranking import TournamentRankingJudge
from tiebreak.rewards.processes import share_groups
from tiebreak.types import Comparison

Batch = tuple[list[str], list[str]]

FOUR: Batch = (["1 + 1 = ?"] * 4, ["wrong", "right, 2", "no", "right: 2!"])
MANY: Batch = (
    [*["p"] * 10, "q", "q", *["r"] * 3, "alone"],
    [*(f"p{'x' * (i * 7 % 10)}" for i in range(10)), "aa", "bbbb", "c", "cc", "ccc", "d"],
)
EXAMPLES: list[tuple[Batch, int]] = [(FOUR, 2), (FOUR, 1), (MANY, 7), (FOUR, 0), (FOUR, 4)]
"""Completions, and how many of them the first process has."""


class LongerIsBetter(TournamentRankingJudge):
    """Prefers the longer answer. Keeps what it compared."""

    def __init__(self) -> None:
        super().__init__()
        self.compared: list[tuple[str, str, str]] = []

    def texts(self, comparisons: int, swap: Swap) -> int:
        return comparisons

    def compare_many(
        self, comparisons: Sequence[Comparison], *, swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:  # fmt: skip
        self.compared += [(row.prompt[0], row.answer_a[0], row.answer_b[0]) for row in comparisons]
        if any("fails" in row.answer_a[0] for row in comparisons):
            raise RuntimeError("out of order")
        gaps = [len(row.answer_a[0]) - len(row.answer_b[0]) for row in comparisons]
        first = [0.8 / (1 + np.exp(-gap)) for gap in gaps]
        return [Verdict(p, 0.8 - p, 0.2) for p in first]


def in_one_of_two() -> dict[str, Any]:
    """What one of two processes gets for its part of each example."""
    rank = int(os.environ["RANK"])
    judge = LongerIsBetter()
    reward = reward_function(judge)

    def own(batch: Batch, first: int) -> Batch:
        prompts, completions = batch
        part = slice(first) if rank == 0 else slice(first, None)
        return prompts[part], completions[part]

    rewards = [reward(*own(batch, first)) for batch, first in EXAMPLES]
    compared, judge.compared = judge.compared, []

    errors = []
    for call in (
        lambda: reward(["p"] * (1 + rank), ["a"]),  # too many prompts in the second process only
        lambda: reward(["p", "p"], ["fails", "fails too"]),  # one process judges
    ):
        with pytest.raises(Exception, match=r"2 prompts for 1|out of order") as caught:
            call()
        errors.append(f"{caught.type.__name__}: {caught.value}")
    after = reward(*own(FOUR, 2))

    shorter = reward_function(judge, asynchronous=True)
    longer = reward_function(judge, asynchronous=True)

    async def both() -> list[list[float | None]]:
        return await asyncio.gather(shorter(*own(FOUR, 2)), longer(*own(MANY, 7)), shorter(*own(FOUR, 1)))

    return {
        "rewards": rewards, "compared": compared, "errors": errors, "after": after, "awaited": asyncio.run(both()),
        "separate": reward_function(judge, gather=False)(*own(FOUR, 2)),
    }  # fmt: skip


def test_two_processes_reward_as_one_does(tmp_path: Path) -> None:
    judge = LongerIsBetter()
    alone = reward_function(judge)
    expected = [alone(*batch) for batch, _ in EXAMPLES]
    first, second = run_processes(2, in_one_of_two, tmp_path)
    assert [a + b for a, b in zip(first["rewards"], second["rewards"], strict=True)] == expected
    assert [len(rewards) for rewards in first["rewards"]] == [count for _, count in EXAMPLES]
    assert expected[0][3] > expected[0][1] > 0 > expected[0][0] > expected[0][2]
    assert expected[2][-1] is None  # alone with its prompt
    assert sorted(map(tuple, first["compared"] + second["compared"])) == sorted(judge.compared)  # none of them twice
    assert min(len(first["compared"]), len(second["compared"])) > 0

    assert first["after"] + second["after"] == expected[0]
    for number, example in enumerate((0, 2, 1)):
        assert first["awaited"][number] + second["awaited"][number] == expected[example]
    assert first["separate"] == alone(FOUR[0][:2], FOUR[1][:2])

    text = "2 prompts for 1 completions: give one prompt per completion"
    assert second["errors"][0] == f"ValueError: {text}"
    assert first["errors"][0] == f"TiebreakError: The reward function failed in process 1: ValueError: {text}"
    assert sorted([first["errors"][1], second["errors"][1]]) == [
        "RuntimeError: out of order",
        "TiebreakError: The reward function failed in process 0: RuntimeError: out of order",
    ]


def test_prompts_are_shared_out_by_their_work() -> None:
    conversations = [Conversation((f"{i % 7}",), (f"{'answer' * (i % 7 + 1)} {i}",)) for i in range(56)]
    shares = share_groups(conversations, 3)
    assert sorted(index for share in shares for index in share) == list(range(56))
    assert all(share == sorted(share) for share in shares)
    owners = {prompt: {i for i, share in enumerate(shares) if set(indices) & set(share)}
              for prompt, indices in group_by_prompt(conversations).items()}  # fmt: skip
    assert {len(processes) for processes in owners.values()} == {1}
    characters = [sum(len(conversations[i].answer[0]) for i in share) for share in shares]
    assert max(characters) < 1.2 * min(characters)
    assert share_groups([], 2) == [[], []]
