"""The processes that train together, one per GPU, as torchrun and `tiebreak train --gpus` start them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.nn import Parameter


def rank() -> int:
    """The index of this process; 0 when it trains alone."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """The number of processes; 1 when this one trains alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_rank_zero() -> bool:
    """Whether this process writes files and prints."""
    return rank() == 0


def leave_process_group() -> None:
    """End this process's part in the group that the Trainer joined. NCCL warns if a process ends without it."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def sum_gradients(parameters: Iterable[Parameter]) -> None:
    """Replace each gradient by its sum over all processes, in one all-reduce."""
    import torch
    from torch import distributed

    parameters = list(parameters)
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
    distributed.all_reduce(flat)
    for parameter, gradient in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter).to(parameter.dtype)


def gather_shares(share: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Rows [total, ...] on every process, from the rows `rank::world_size` that each process holds."""
    from torch import distributed

    shares: list[Any] = [None] * world_size()
    distributed.all_gather_object(shares, share)
    rows = np.empty((total, *share.shape[1:]))
    for process, part in enumerate(shares):
        rows[process :: world_size()] = part
    return rows
