"""Classification heads: from the last token of a text to three logits over (A, B, tie).

A `pairwise` head is a plain linear layer: a text holds the prompt, A and B, and the outputs are the three logits. A
`pointwise` head is a `RewardHead`: a text holds the prompt and one answer, the output is a reward, and a tie model
turns two rewards into three logits.

Legend of shapes: V votes, each about one text (pairwise) or two (pointwise).
"""

from __future__ import annotations

from math import log
from typing import Any, Final, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from tiebreak.models.precision import HEAD
from tiebreak.ranking import TieModel
from tiebreak.types import OUTCOMES

HeadKind = Literal["pairwise", "pointwise"]

LABELS: Final[dict[HeadKind, dict[str, int]]] = {
    "pairwise": {outcome: index for index, outcome in enumerate(OUTCOMES)},
    "pointwise": {"reward": 0},
}
"""Names of a head's outputs: `label2id` in the model's configuration."""


class RewardHead(nn.Linear):
    """[..., hidden] -> one reward, [..., 1]; and two rewards -> logits over (A, B, tie).

    Args:
        in_features: the hidden size.
        tie_model: how two rewards determine the probability of a tie; see `tiebreak.ranking.outcome_logits`.
        tie_parameter: initial value of its learned parameter. Bradley and Terry's model has none.
    """

    def __init__(self, in_features: int, tie_model: TieModel, tie_parameter: float) -> None:
        super().__init__(in_features, 1, bias=False)  # rewards are determined up to a constant
        self.tie_model = tie_model
        self.tie_parameter = None if tie_model == "bradley-terry" else nn.Parameter(torch.tensor(tie_parameter))

    def outcome_logits(self, rewards: Tensor) -> Tensor:
        """Rewards [V, 2] of A and B -> float [V, 3]: `tiebreak.ranking.outcome_logits`, with gradients."""
        a, b = rewards.unbind(-1)
        tie = self.tie_parameter
        if tie is None:
            return torch.stack([a, b, torch.full_like(a, -torch.inf)], dim=-1)
        if self.tie_model == "davidson":
            return torch.stack([a, b, (a + b) / 2 + tie], dim=-1)
        threshold = softplus(tie)
        log_a, log_b = logsigmoid(a - b - threshold), logsigmoid(b - a - threshold)
        factor = tie + torch.logaddexp(torch.full_like(tie, log(2)), tie)
        return torch.stack([log_a, log_b, factor + (log_a + log_b)], dim=-1)


def classifier_module(model: Any) -> Any:
    """The transformers classifier, without PEFT's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def judge_head(model: nn.Module) -> nn.Linear:
    """The active head: PEFT keeps the trained head next to the original one."""
    head = getattr(classifier_module(model), HEAD)
    return cast(nn.Linear, head.modules_to_save[head.active_adapters[0]] if hasattr(head, "modules_to_save") else head)


def texts_per_vote(head: nn.Linear) -> int:
    """Number of texts per vote."""
    return 2 if isinstance(head, RewardHead) else 1


def vote_logits(head: nn.Linear, outputs: Tensor) -> Tensor:
    """Logits over (A, B, tie), [V, 3].

    Args:
        head: as `judge_head` returns it.
        outputs: its outputs for the texts of V votes, [V, texts per vote, labels].
    """
    return head.outcome_logits(outputs[..., 0]) if isinstance(head, RewardHead) else outputs[:, 0]
