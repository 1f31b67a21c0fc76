"""The reward file for OpenRLHF, which executes it and calls its `reward_func`:

    export TIEBREAK_RUN=/absolute/path/to/runs/x     # also for Ray's workers: env_vars of --runtime-env-json
    python -m openrlhf.cli.train_ppo_ray --reward.remote_url $(python -m tiebreak.rewards.openrlhf) ...

(`--remote_rm_url` before OpenRLHF 0.10.2.) The run must be a reward model: OpenRLHF passes one answer per call, and
a pairwise judge has nothing to compare it with. The process of every vLLM engine loads the judge on its own GPU.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tiebreak.errors import ModelError, RunError
from tiebreak.rewards.rendered_text import rewards_of_rendered_text
from tiebreak.rewards.reward_function import shared_reward_function

if TYPE_CHECKING:
    from torch import Tensor

VARIABLE: Final = "TIEBREAK_RUN"


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
        rewards: float32 [queries], as `reward_function` returns them. Answers to a prompt that is not a conversation of
            texts (for example with tool messages) all get 0, the mean, and have no effect.
        scores: float32 [queries], the sigmoid of the rewards, between 0 and 1 for `dynamic_filtering`.
        extra_logs: `unscored`, float32 [queries], 1 for the answers to such a prompt.

    Raises:
        RunError: TIEBREAK_RUN is not set, or is not a trained run.
        ModelError: as in `load_judge`; or the judge is pairwise and a prompt has only one answer.
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
    results = rewards_of_rendered_text(reward, prompts, queries)
    rewards = torch.tensor([0.0 if one is None else one for one in results])
    unscored = torch.tensor([float(one is None) for one in results])
    return {"rewards": rewards, "scores": rewards.sigmoid(), "extra_logs": {"unscored": unscored}}


if __name__ == "__main__":
    print(__file__)
