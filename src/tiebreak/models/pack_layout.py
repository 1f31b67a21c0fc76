"""The layout of a pack: which tokens attend to which, and the index arrays that the attention kernels read.

Legend of shapes: T tokens of the pack, S segments, C chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tiebreak.text import Pack

CHUNK: Final = 128
"""Tokens of a segment per entry of the kernels' work lists."""


@dataclass(frozen=True)
class Forest:
    """A pack's segments as the attention kernels read them; all int32."""

    positions: Tensor
    """[T]"""
    segments: Tensor
    """[S, 5]: START, STOP, REACH, DEPTH, PARENT."""
    query_chunks: Tensor
    """[C, 2]: first token and segment of every CHUNK tokens of a segment; those with the most keys first."""
    key_chunks: Tensor
    """[C, 2]: the same, those with the most queries first."""


@dataclass(frozen=True)
class PackLayout:
    """Which tokens of a pack attend to which; built once per pack and shared by all layers."""

    pack: Pack
    device: torch.device

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return int(self.pack.positions.max()) + 1

    @cached_property
    def paths(self) -> list[tuple[slice, ...]]:
        """For each segment the token ranges of its ancestors, root first, then its own."""
        paths: list[tuple[slice, ...]] = []
        bounds = pairwise(self.pack.starts.tolist())
        for (start, stop), parent in zip(bounds, self.pack.parents.tolist(), strict=True):
            paths.append((*(paths[parent] if parent >= 0 else ()), slice(start, stop)))
        return paths

    @cached_property
    def _on_device(self) -> list[Tensor]:
        """Everything the kernels read, copied to the device in one transfer: one launch instead of five."""
        pack = self.pack
        starts, stops = pack.starts[:-1], pack.starts[1:]
        reach = _reach(pack)
        table = np.stack([starts, stops, reach, pack.positions[starts], pack.parents], axis=1)
        counts = -(-(stops - starts) // CHUNK)
        segment = np.repeat(np.arange(len(starts)), counts)
        within = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
        first = starts[segment] + within * CHUNK
        chunks = np.stack([first, segment], axis=1)
        # The longest chunks start first, so that no single one runs on alone at the end.
        by_queries = chunks[np.argsort(first - reach[segment], kind="stable")]
        by_keys = chunks[np.argsort(-pack.positions[first], kind="stable")]
        arrays = [pack.positions, table, by_keys, by_queries, pack.pooled]
        # Each array starts at a multiple of 16 bytes: Triton recompiles a kernel when pointer alignment changes.
        sizes = [-(-array.size // 4) * 4 for array in arrays]
        flat = torch.zeros(sum(sizes), dtype=torch.int32, pin_memory=self.device.type == "cuda")
        for part, array in zip(torch.split(flat, sizes), arrays, strict=True):
            part[: array.size] = torch.from_numpy(array.ravel())
        parts = torch.split(flat.to(self.device, non_blocking=True), sizes)
        return [part[: array.size].view(array.shape) for part, array in zip(parts, arrays, strict=True)]

    @cached_property
    def forest(self) -> Forest:
        """The pack as the attention kernels read it."""
        return Forest(*self._on_device[:4])

    @cached_property
    def pooled(self) -> Tensor:
        """int64 [sequences]: the last token of each sequence."""
        return self._on_device[4].long()


def _reach(pack: Pack) -> NDArray[np.int64]:
    """int64 [S]: one past the last token of each segment's subtree.

    Raises:
        ValueError: the segments are not in preorder, each directly followed by its descendants.
    """
    reach = pack.starts[1:].copy()
    for segment in range(len(reach) - 1, 0, -1):
        parent = pack.parents[segment]
        if parent >= 0:
            reach[parent] = max(reach[parent], reach[segment])
    parents = pack.parents[pack.parents >= 0]
    if (reach[parents] < reach[pack.parents >= 0]).any() or (
        pack.starts[1:][parents] > pack.starts[:-1][pack.parents >= 0]
    ).any():
        raise ValueError("the segments of a pack must be in preorder: each directly followed by its descendants")
    return reach
