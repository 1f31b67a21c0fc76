"""A judge as the reward function of a policy in training, in the shape TRL's trainers call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiebreak.data.messages import Message, parse_messages, parse_side
from tiebreak.data.problem import UnreadableError
from tiebreak.data.utf8 import repair
from tiebreak.judge import load_judge

if TYPE_CHECKING:
    from tiebreak.judge import Judge, Merge, Swap

Text = str | Sequence[Mapping[str, Any]]
"""A text, or a list of messages with `role` and `content`."""


class JudgeReward:
    """What `reward_function` makes: called with prompts and completions, it returns a reward for each completion."""

    __name__ = "tiebreak"
    """By which trainers log it."""

    def __init__(self, judge: Judge, swap: Swap) -> None:
        self._judge = judge
        self._swap: Swap = swap

    def __call__(self, prompts: Sequence[Text], completions: Sequence[Text], **columns: object) -> list[float | None]:
        """Score completions against the others of the same prompt.

        Args:
            prompts: one a completion; a prompt that stands several times is asked once, and its completions compared.
            completions: one a prompt; as texts, or as lists of messages that end in the assistant's.
            columns: what else trainers hand on (token ids, columns of the dataset); not looked at.

        Returns:
            Rewards in nats, of mean 0 over each prompt's completions; None for a completion that has no other to be
            compared with, or is no text in answer to its prompt (a call of a tool, an image).

        Raises:
            ValueError: there are not as many prompts as completions.
            MemoryBudgetError, ModelError: as in `Judge.compare_many`.
        """
        del columns
        if len(prompts) != len(completions):
            raise ValueError(f"{len(prompts):,} prompts for {len(completions):,} completions: give one for each")
        groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[int, str]]] = {}
        for number, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            turns = _turns(prompt, completion)
            if turns is not None:
                asked, replies = turns
                groups.setdefault((asked, replies[:-1]), []).append((number, replies[-1]))
        compared = [(key, members) for key, members in groups.items() if len(members) > 1]
        rankings = self._judge.rank_many(
            [(asked, [(*history, last) for _, last in members]) for (asked, history), members in compared],
            swap=self._swap,
        )
        rewards: list[float | None] = [None] * len(completions)
        for (_, members), ranking in zip(compared, rankings, strict=True):
            for (number, _), reward in zip(members, ranking.rewards, strict=True):
                rewards[number] = reward
        return rewards


def reward_function(
    run: str | Path,
    *,
    swap: Swap = "average",
    base_model: str | None = None,
    device: str | None = None,
    merge: Merge | None = None,
) -> JudgeReward:
    """A run's judge as a reward function for TRL's `GRPOTrainer(reward_funcs=...)` and `RLOOTrainer`.

    A judge of pairs has no reward for a single answer: the completions of one prompt (its group, `num_generations` of
    them) are compared with each other, and what the fitted tie model makes of the verdicts is their reward. It is of
    mean 0 in every group, which is all that GRPO and RLOO look at.

    Args:
        run: the folder `tiebreak train` made.
        swap: compare in both orders, or each pair once in half the time.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        merge: as in `load_judge`.

    Raises:
        RunError, ModelError: as in `load_judge`.
    """
    return JudgeReward(load_judge(run, base_model=base_model, device=device, merge=merge), swap)


def _turns(prompt: Text, completion: Text) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """What the user said and what was replied; None where that is no conversation of texts."""
    try:
        asked, replied = _messages("prompt", prompt, "user"), _messages("completion", completion, "assistant")
        if not replied:
            return None
        turns, replies = parse_side("completion", asked, replied)
    except UnreadableError:
        return None
    return tuple(repair(turn)[0] for turn in turns), tuple(repair(reply)[0] for reply in replies)


def _messages(column: str, text: Text, role: str) -> tuple[Message, ...]:
    if isinstance(text, str):
        return ((role, text),)  # whatever it looks like: policies write JSON
    return parse_messages(column, [dict(message) for message in text], role=role)
