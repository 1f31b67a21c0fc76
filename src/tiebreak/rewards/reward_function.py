"""`reward_function`: a judge as the reward function of a trainer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args, overload

from tiebreak.data.messages import ToolCalls
from tiebreak.judges import Judge, load_judge
from tiebreak.judges.answer_order import check_rankable_swap
from tiebreak.judges.grouping import group_by_prompt
from tiebreak.rewards.judge_reward import AsyncJudgeReward, JudgeReward, make_async
from tiebreak.types import Conversation

if TYPE_CHECKING:
    from tiebreak.judges import Merge, Swap


@overload
def reward_function(
    run: str | Path | Judge,
    *,
    normalise: bool = ...,
    swap: Swap = ...,
    gather: bool = ...,
    tool_calls: ToolCalls = ...,
    asynchronous: Literal[False] = ...,
    base_model: str | None = ...,
    device: str | None = ...,
    merge: Merge | None = ...,
) -> JudgeReward: ...


@overload
def reward_function(
    run: str | Path | Judge,
    *,
    normalise: bool = ...,
    swap: Swap = ...,
    gather: bool = ...,
    tool_calls: ToolCalls = ...,
    asynchronous: Literal[True],
    base_model: str | None = ...,
    device: str | None = ...,
    merge: Merge | None = ...,
) -> AsyncJudgeReward: ...


def reward_function(
    run: str | Path | Judge,
    *,
    normalise: bool = True,
    swap: Swap = "average",
    gather: bool = True,
    tool_calls: ToolCalls = "refuse",
    asynchronous: bool = False,
    base_model: str | None = None,
    device: str | None = None,
    merge: Merge | None = None,
) -> JudgeReward | AsyncJudgeReward:
    """A judge as a reward function: for TRL's `GRPOTrainer(reward_funcs=...)` and `RLOOTrainer`, or your own loop.

    A reward model scores every completion by itself. A pairwise judge has no reward for a single answer: it compares
    the completions of one prompt (its group of `num_generations`) with each other, and their rewards are fitted to
    the verdicts by the tie model, in nats, with a mean of 0 in every group.

    Any loop can call `reward(prompts, completions)` and use the floats; PPO too, with a reward model. TRL's own
    PPOTrainer (`trl.experimental.ppo`, up to TRL 1.12) takes a model that reads the policy's token ids instead of a
    function: pass what `tiebreak export` makes of a pointwise run whose base has the policy's tokenizer. That trainer
    does not apply a template, so choose a `text.template` that matches the policy's prompts: `chat`, if they are
    rendered by the chat template of the judge's base model.

    Args:
        run: a run folder, or a loaded judge such as a `Client`.
        normalise: subtract the mean reward of the validation answers and divide by their standard deviation; otherwise
            rewards are in nats. GRPO divides out both, RLOO the mean, PPO neither: with normalised rewards, a learning
            rate, KL coefficient or weight tuned for one run suits the next. Reward models only.
        swap: compare in both orders, or each pair once in half the time. Pairwise judges only.
        gather: compare the completions of a prompt across all processes of `torch.distributed`, where it is
            initialized. The processes share the comparisons. All of them must call the function, equally often and in
            the same order, as TRL's trainers do. False: compare those of the own process; for a loop that calls the
            function in one process only. Pairwise judges only.
        tool_calls: `text` scores completions with tool calls, which have no reward otherwise. The answer is all that
            follows the last message of the user: texts, tool calls and their results, as text.
        asynchronous: return a coroutine function, which TRL awaits together with other asynchronous rewards. Concurrent
            calls are judged one after the other.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        merge: as in `load_judge`.

    Raises:
        ValueError: `swap` is neither `none` nor `average`, or `tool_calls` neither `refuse` nor `text`.
        RunError, ModelError: as in `load_judge`.
    """
    check_rankable_swap(swap)  # before a model is loaded
    if tool_calls not in get_args(ToolCalls):
        raise ValueError(f"tool_calls is {tool_calls!r}: expected 'refuse' or 'text'")
    judge = run if isinstance(run, Judge) else load_judge(run, base_model=base_model, device=device, merge=merge)

    def rewards(conversations: Sequence[Conversation]) -> Sequence[float | None]:
        if judge.gives_rewards:
            scores = judge.score_many(conversations)
            return [score.normalised if normalise else score.reward for score in scores]
        return pairwise_rewards(judge, conversations, swap)

    reward = JudgeReward(rewards, scores_alone=judge.gives_rewards, gather=gather, tool_calls=tool_calls)
    return make_async(reward) if asynchronous else reward


def pairwise_rewards(judge: Judge, conversations: Sequence[Conversation], swap: Swap) -> list[float | None]:
    """Rewards of conversations from comparisons with those that differ in the last reply only.

    Returns:
        Rewards in nats, with a mean of 0 in every group; None for a conversation that is alone in its group.
    """
    groups = {prompt: indices for prompt, indices in group_by_prompt(conversations).items() if len(indices) > 1}
    rankings = judge.rank_many(
        [(prompt, [conversations[i].answer for i in indices]) for (_, prompt, _), indices in groups.items()],
        systems=[system for system, _, _ in groups],
        swap=swap,
    )
    rewards: list[float | None] = [None] * len(conversations)
    for indices, ranking in zip(groups.values(), rankings, strict=True):
        for index, reward in zip(indices, ranking.rewards, strict=True):
            rewards[index] = reward
    return rewards


def shared_reward_function(run: str) -> JudgeReward:
    """`reward_function(run)`, loaded once per process and shared by all threads."""
    with _LOADING:
        return _loaded(run)


_LOADING: Final = threading.Lock()
_loaded: Final = cache(partial(reward_function, gather=False))  # engines call it independently of each other
