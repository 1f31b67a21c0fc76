"""The file to name to OpenRLHF, which executes it and calls its `reward_func` with what its policy wrote:

    export TIEBREAK_RUN=/absolute/path/to/runs/x     # for Ray's workers too: env_vars of --runtime-env-json
    python -m openrlhf.cli.train_ppo_ray --reward.remote_url $(python -m tiebreak.rewards.openrlhf) ...

(`--remote_rm_url` before OpenRLHF 0.10.2.) The run is to be a pointwise one: OpenRLHF hands on one answer a call, and a
judge of pairs has nothing to compare it with. Every vLLM engine's process loads the judge for itself, on its own GPU.
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
    """Score answers by the run that the environment variable TIEBREAK_RUN names, loaded by the first call.

    Args:
        queries: prompt and answer, decoded with the policy's special tokens.
        prompts: one a query, as the policy's chat template rendered them.
        labels: not looked at.
        more: not looked at.

    Returns:
        rewards: float32 [queries], as `reward_function` gives them. 0, the mean, for the answers to a prompt that is no
            conversation of texts (one with a tool's messages, say): it is the same for them all, and teaches nothing.
        scores: float32 [queries], the logistic of the rewards, between 0 and 1 for `dynamic_filtering`.
        extra_logs: `unscored`, float32 [queries], 1 for the answers to such a prompt.

    Raises:
        RunError: TIEBREAK_RUN is not set, or names no trained run.
        ModelError: as in `load_judge`; or the judge compares answers, and a prompt has only one here.
        DataError: a query does not hold its prompt, so that the answer cannot be told from it.
        MemoryBudgetError: a single answer does not fit into memory.
    """
    del labels, more
    import torch

    run = os.environ.get(VARIABLE)
    if not run:
        raise RunError(
            f"The environment variable {VARIABLE} is not set. It names the run that gives the rewards: "
            f"export {VARIABLE}=/absolute/path/to/runs/NAME, for Ray's workers too (env_vars of --runtime-env-json)."
        )
    reward = shared_reward_function(run)
    if not reward.scores_alone and 1 in Counter(prompts).values():
        raise ModelError(
            f"The judge of {run} compares the answers to a prompt with each other, and OpenRLHF handed on one alone. "
            "Name a run that scores single answers: train it with model.head=pointwise."
        )
    found = rewards_of_rendered_text(reward, prompts, queries)
    rewards = torch.tensor([0.0 if one is None else one for one in found])
    unscored = torch.tensor([float(one is None) for one in found])
    return {"rewards": rewards, "scores": rewards.sigmoid(), "extra_logs": {"unscored": unscored}}


if __name__ == "__main__":
    print(__file__)
