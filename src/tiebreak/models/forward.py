"""Packs in, the head's outputs out: the one path that training and judging share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from tiebreak.models.heads import judge_head
from tiebreak.models.layer_stack import layer_stack, transformer_body
from tiebreak.models.pack_layout import PackLayout
from tiebreak.models.token_budget import TokenBudget
from tiebreak.text import Pack, pack

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pack_logits(model: nn.Module, item: Pack, compute_dtype: torch.dtype) -> Tensor:
    """The head's outputs for every sequence in a pack, in the pack's order: three logits each, or one reward.

    Args:
        model: a decoder-only `...ForSequenceClassification` loaded with `tiebreak.models.ATTENTION`, with or without
            a PEFT adapter.
        item: the pack.
        compute_dtype: the type of matrix products in the body; the head computes in float32 always.

    Returns:
        float32 [sequences, labels], with gradients where they are enabled.
    """
    body = transformer_body(model)
    parameter = next(model.parameters())
    device = parameter.device
    layout = PackLayout(item, device)
    # Triton launches on the current device, whichever the tensors are on.
    with torch.cuda.device(parameter.get_device()), _autocast(device, compute_dtype):
        hidden = body(
            input_ids=torch.as_tensor(item.input_ids)[None].to(device, non_blocking=True),
            position_ids=torch.as_tensor(item.positions)[None].to(device, non_blocking=True),
            use_cache=False,
            pack_layout=layout,
        ).last_hidden_state[0]
    pooled = layer_stack(model).pool(hidden, layout)
    return cast(Tensor, judge_head(model)(pooled.float()))


def _autocast(device: torch.device, compute_dtype: torch.dtype) -> AbstractContextManager[Any]:
    if compute_dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=compute_dtype)


@torch.no_grad()
def predict_logits(
    model: nn.Module,
    sequences: Sequence[NDArray[np.int32]],
    *,
    compute_dtype: torch.dtype,
    budget: TokenBudget,
    groups: Sequence[int] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """The head's outputs for many sequences, each independent of what shares its pass.

    Args:
        model: as in `pack_logits`; its training mode is kept.
        sequences: token ids, any number of any length.
        compute_dtype: the type of matrix products.
        budget: tokens a pass; it halves when memory runs out.
        groups: which sequences may share the computation of a common prefix.
        on_progress: called after each pass with the number of sequences it judged.

    Returns:
        float32 [sequences, labels], in the order they were given.

    Raises:
        MemoryBudgetError: the longest sequence alone does not fit into memory.
    """
    longest = max((len(s) for s in sequences), default=0)
    logits = np.empty((len(sequences), judge_head(model).out_features), np.float32)
    waiting = set(range(len(sequences)))

    def judge_waiting(tokens: int) -> None:
        # After running out of memory, only what was not judged before is packed again.
        order = sorted(waiting)
        shared = None if groups is None else [groups[i] for i in order]
        before: tuple[list[int], Tensor] | None = None
        for item in pack([sequences[i] for i in order], tokens_per_pass=tokens, groups=shared):
            now = [order[i] for i in item.sequences], pack_logits(model, item, compute_dtype)
            if before is not None:  # read only when the next pass is on its way, so that the GPU need not wait
                take(*before)
            before = now
        if before is not None:
            take(*before)

    def take(indices: list[int], outcome: Tensor) -> None:
        logits[indices] = outcome.cpu().numpy()
        waiting.difference_update(indices)
        if on_progress is not None:
            on_progress(len(indices))

    was_training = model.training
    model.eval()
    try:
        budget.run(judge_waiting, longest=longest)
    finally:
        model.train(was_training)
    return logits
