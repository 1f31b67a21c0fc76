"""A run's folder -> a reward function."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, overload

from tiebreak.judges import Judge, load_judge
from tiebreak.judges.answer_order import check_rankable_swap
from tiebreak.rewards.pairwise import compared
from tiebreak.rewards.reward_function import AsyncJudgeReward, JudgeReward, awaited
from tiebreak.rewards.scoring import scored

if TYPE_CHECKING:
    from tiebreak.judges import Merge, Swap


@overload
def reward_function(
    run: str | Path | Judge,
    *,
    normalise: bool = ...,
    swap: Swap = ...,
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
    asynchronous: bool = False,
    base_model: str | None = None,
    device: str | None = None,
    merge: Merge | None = None,
) -> JudgeReward | AsyncJudgeReward:
    """A run's judge as a reward function: for TRL's `GRPOTrainer(reward_funcs=...)` and `RLOOTrainer`, or a loop.

    A pointwise run scores every completion by itself. A judge of pairs has no reward for a single answer: the
    completions of one prompt (its group, `num_generations` of them) are compared with each other, and what the fitted
    tie model makes of the verdicts is their reward, in nats and of mean 0 in every group.

    Any loop may call `reward(prompts, completions)` and use the floats: PPO too, with a pointwise run. TRL's own
    PPOTrainer (`trl.experimental.ppo`, up to TRL 1.12) takes no function but a model that reads the policy's token ids:
    give it what `tiebreak export` makes of a pointwise run whose base has the policy's tokenizer. It reads them as they
    are, so let the run's `text.template` look like the policy's prompts.

    Args:
        run: the folder `tiebreak train` made; or a judge that is there already, as a `Client` of a server is.
        normalise: rewards less their mean over the validation's answers, in their standard deviations; otherwise in
            nats. It changes nothing but shift and scale. GRPO divides both out, RLOO the shift alone, and PPO neither:
            normalised, a learning rate, a KL coefficient or a weight beside other rewards that suits one run suits the
            next. Of pointwise runs only.
        swap: compare in both orders, or each pair once in half the time. Of pairwise runs only.
        asynchronous: return a coroutine function, which TRL awaits along with other asynchronous rewards; calls at the
            same time are judged one after the other.
        base_model: as in `load_judge`.
        device: as in `load_judge`.
        merge: as in `load_judge`.

    Raises:
        ValueError: `swap` is neither `none` nor `average`.
        RunError, ModelError: as in `load_judge`.
    """
    check_rankable_swap(swap)  # before a model is loaded
    judge = run if isinstance(run, Judge) else load_judge(run, base_model=base_model, device=device, merge=merge)
    reward = JudgeReward(
        lambda conversations: (
            scored(judge, conversations, normalise) if judge.gives_rewards else compared(judge, conversations, swap)
        ),
        scores_alone=judge.gives_rewards,
    )
    return awaited(reward) if asynchronous else reward


def shared_reward_function(run: str) -> JudgeReward:
    """`reward_function(run)`, loaded by the first call in this process and the same for all, in whichever thread."""
    with _LOADING:
        return _loaded(run)


_LOADING: Final = threading.Lock()
_loaded: Final = cache(reward_function)
