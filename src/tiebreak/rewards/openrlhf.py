"""The reward file for OpenRLHF, which executes it and calls its `reward_func`:

    export TIEBREAK_RUN=/absolute/path/to/runs/x     # also for Ray's workers: env_vars of --runtime-env-json
    export TIEBREAK_POLICY=Qwen/Qwen2.5-Math-7B      # the policy's folder, hub name or chat template
    python -m openrlhf.cli.train_ppo_ray --reward.remote_url $(python -m tiebreak.rewards.openrlhf) ...

(`--remote_rm_url` before OpenRLHF 0.10.2.) The run must be a reward model: OpenRLHF passes one answer per call, and
a pairwise judge has nothing to compare it with. The process of every vLLM engine loads the judge on its own GPU.

OpenRLHF passes texts that the policy's chat template rendered. TIEBREAK_POLICY says which template that is, as in
`policy_parser`. By default the templates of common model families are tried; answers to a prompt that none of them
renders are not scored.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from tiebreak.data.issues import short_repr
from tiebreak.errors import ModelError, RunError
from tiebreak.rewards.policy import AUTO, HOW_TO_NAME, policy_parser
from tiebreak.rewards.rendered_text import rewards_of_rendered_text
from tiebreak.rewards.reward_function import shared_reward_function

if TYPE_CHECKING:
    from torch import Tensor

VARIABLE: Final = "TIEBREAK_RUN"
POLICY_VARIABLE: Final = "TIEBREAK_POLICY"


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[object], **more: object
) -> dict[str, Tensor | dict[str, Tensor]]:
    """Score answers with the run of the environment variable TIEBREAK_RUN, which the first call loads.

    Args:
        queries: prompt and answer, decoded with the policy's special tokens.
        prompts: one per query, rendered by the policy's chat template.
        labels: ignored.
        more: ignored.

    Returns:
        rewards: float32 [queries], as `reward_function` returns them. Answers to a prompt that the policy's chat
            template did not render, or that is not a conversation of texts (for example with tool messages), all get 0,
            the mean, and have no effect.
        scores: float32 [queries], the sigmoid of the rewards, between 0 and 1 for `dynamic_filtering`.
        extra_logs: `unscored`, float32 [queries], 1 for the answers to such a prompt.

    Raises:
        RunError: TIEBREAK_RUN is not set, or is not a trained run.
        ModelError: as in `load_judge` and `policy_parser`; or the judge is pairwise and a prompt has only one answer.
        DataError: a query does not contain its prompt, so the answer cannot be separated.
        MemoryBudgetError: a single answer does not fit in memory.
    """
    del labels, more
    import torch

    run = os.environ.get(VARIABLE)
    if not run:
        raise RunError(
            f"The environment variable {VARIABLE} is not set. Set it to the run that gives the rewards: "
            f"export {VARIABLE}=/absolute/path/to/runs/NAME, also for Ray's workers (env_vars of --runtime-env-json)."
        )
    reward = shared_reward_function(run)
    if not reward.scores_alone and 1 in Counter(prompts).values():
        raise ModelError(
            f"The judge of {run} is pairwise, and OpenRLHF passes one answer per call. Use a run that scores single "
            "answers: train it with model.head=pointwise."
        )
    policy = os.environ.get(POLICY_VARIABLE) or AUTO
    results = rewards_of_rendered_text(reward, prompts, queries, _shared_policy_parser(policy, run))
    if None in results:
        _warn_once(prompts[results.index(None)], policy)
    rewards = torch.tensor([0.0 if one is None else one for one in results])
    unscored = torch.tensor([float(one is None) for one in results])
    return {"rewards": rewards, "scores": rewards.sigmoid(), "extra_logs": {"unscored": unscored}}


_shared_policy_parser: Final = cache(lambda policy, run: policy_parser(policy, run=run))
_warned: Final[set[str]] = set()


def _warn_once(prompt: str, policy: str) -> None:
    if policy in _warned:
        return
    _warned.add(policy)
    warnings.warn(
        f"Answers are not scored ({POLICY_VARIABLE}={policy}): the prompt {short_repr(prompt, 200)} is not what the "
        f"policy's chat template renders for messages of user and assistant. Set {POLICY_VARIABLE} to {HOW_TO_NAME}.",
        stacklevel=3,
    )


if __name__ == "__main__":
    print(__file__)
