"""The forward pass from packs to the outputs of the head, shared by training and judging.

Legend of shapes: S sequences, L labels: three logits (A, B, tie) or one reward.
"""

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
    """The outputs of the head for every sequence of a pack, in the order of the pack.

    Args:
        model: a decoder-only `...ForSequenceClassification` loaded with `tiebreak.models.ATTENTION`, with or without
            a PEFT adapter.
        item: the pack.
        compute_dtype: the type of matrix products in the body; the head always computes in float32.

    Returns:
        float32 [S, L], with gradients if they are enabled.
    """
    body = transformer_body(model)
    parameter = next(model.parameters())
    device = parameter.device
    layout = PackLayout(item, device)
    # Triton launches kernels on the current device, not on the device of the tensors.
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
    """The outputs of the head for many sequences; results do not depend on batching.

    Args:
        model: as in `pack_logits`; its training mode is kept.
        sequences: token ids of each sequence.
        compute_dtype: the type of matrix products.
        budget: tokens per pass; halved when memory runs out.
        groups: group of each sequence; a common prefix is computed once per group. None shares nothing.
        on_progress: called after each pass with the number of sequences it judged.

    Returns:
        float32 [S, L], in the order of `sequences`.

    Raises:
        MemoryBudgetError: the longest sequence alone does not fit into memory.
    """
    longest = max((len(s) for s in sequences), default=0)
    logits = np.empty((len(sequences), judge_head(model).out_features), np.float32)
    pending = set(range(len(sequences)))

    def run_pending(tokens: int) -> None:
        # After running out of memory, only the sequences without a result are packed again.
        order = sorted(pending)
        shared = None if groups is None else [groups[i] for i in order]
        previous: tuple[list[int], Tensor] | None = None
        for item in pack([sequences[i] for i in order], tokens_per_pass=tokens, groups=shared):
            current = [order[i] for i in item.sequences], pack_logits(model, item, compute_dtype)
            if previous is not None:  # read after the next pass was launched, so that the GPU does not wait
                store(*previous)
            previous = current
        if previous is not None:
            store(*previous)

    def store(indices: list[int], outputs: Tensor) -> None:
        logits[indices] = outputs.cpu().numpy()
        pending.difference_update(indices)
        if on_progress is not None:
            on_progress(len(indices))

    was_training = model.training
    model.eval()
    try:
        budget.run(run_pending, longest=longest)
    finally:
        model.train(was_training)
    return logits
