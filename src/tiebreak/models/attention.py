"""Attention over packs, registered with transformers under the name `tiebreak`.

A pack is one row of tokens that holds a forest of segments (`tiebreak.text.packing`). A token attends to the tokens at
or before its own position in its segment and in the segment's ancestors; a sliding window counts positions. Two
implementations give the same numbers:

- Triton kernels that walk over the forest (`tiebreak.models.kernels.attention`), on CUDA devices from Ampere on;
- `segment_attention`: one small attention a segment, over the segment and its ancestors, everywhere else.

Legend of shapes: H query heads, K key/value heads, T tokens of the pack, L tokens of a segment, P tokens of a path
(a segment and its ancestors), D head dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from tiebreak.errors import ModelError

if TYPE_CHECKING:
    from tiebreak.models.kernels.attention import Forest
    from tiebreak.text import Pack

ATTENTION: Final = "tiebreak"
"""The name to load a model with: `attn_implementation=ATTENTION`."""

HEAD_DIMS: Final = (16, 32, 64, 128, 256)
"""Head dimensions the kernels take."""

CHUNK: Final = 128
"""Tokens of a segment that one entry of the kernels' work lists stands for."""

NO_WINDOW: Final = 2**30
"""A sliding window longer than any pack."""


def supports_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the package's Triton kernels run on this device, in this type: what is of 16 bits, from Ampere on."""
    return device.type == "cuda" and dtype.itemsize == 2 and torch.cuda.get_device_capability(device) >= (8, 0)


@dataclass(frozen=True)
class PackLayout:
    """Who attends to whom in one pack, made once and shared by all layers."""

    pack: Pack
    device: torch.device

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return int(self.pack.positions.max()) + 1

    @cached_property
    def paths(self) -> list[tuple[slice, ...]]:
        """For each segment the token ranges of its ancestors, root first, and of itself last."""
        paths: list[tuple[slice, ...]] = []
        bounds = pairwise(self.pack.starts.tolist())
        for (start, stop), parent in zip(bounds, self.pack.parents.tolist(), strict=True):
            paths.append((*(paths[parent] if parent >= 0 else ()), slice(start, stop)))
        return paths

    @cached_property
    def _on_device(self) -> list[Tensor]:
        """Everything the kernels read, in one copy to the device: it costs a launch, not one a list."""
        pack = self.pack
        starts, stops = pack.starts[:-1], pack.starts[1:]
        reach = _reach(pack)
        table = np.stack([starts, stops, reach, pack.positions[starts], pack.parents], axis=1)
        counts = -(-(stops - starts) // CHUNK)
        segment = np.repeat(np.arange(len(starts)), counts)
        within = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
        first = starts[segment] + within * CHUNK
        chunks = np.stack([first, segment], axis=1)
        # What takes longest begins first, so that no single chunk is left over at the end.
        by_queries = chunks[np.argsort(first - reach[segment], kind="stable")]
        by_keys = chunks[np.argsort(-pack.positions[first], kind="stable")]
        arrays = [pack.positions, table, by_keys, by_queries, pack.pooled]
        # Each begins at a multiple of 16 bytes: Triton compiles a kernel anew for pointers that are not aligned alike.
        rooms = [-(-array.size // 4) * 4 for array in arrays]
        flat = torch.zeros(sum(rooms), dtype=torch.int32, pin_memory=self.device.type == "cuda")
        for room, array in zip(torch.split(flat, rooms), arrays, strict=True):
            room[: array.size] = torch.from_numpy(array.ravel())
        parts = torch.split(flat.to(self.device, non_blocking=True), rooms)
        return [part[: array.size].view(array.shape) for part, array in zip(parts, arrays, strict=True)]

    @cached_property
    def forest(self) -> Forest:
        """The pack as the kernels read it."""
        from tiebreak.models.kernels.attention import Forest

        return Forest(*self._on_device[:4])

    @cached_property
    def pooled(self) -> Tensor:
        """int64 [sequences]: where each sequence ends."""
        return self._on_device[4].long()


def _reach(pack: Pack) -> Any:
    """int64 [segments]: one past the last token of everything below each segment, itself included.

    Raises:
        ValueError: the segments are not in preorder, each followed by all that is below it.
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
        raise ValueError("a pack's segments stand in preorder: each followed by all that is below it")
    return reach


def pack_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    pack_layout: PackLayout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **extras: Any,
) -> tuple[Tensor, None]:
    """The attention function transformers calls: query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D].

    Raises:
        ModelError: the model asks for attention dropout or attention sinks, which packs do not have.
    """
    if pack_layout is None:
        raise ModelError(
            f"{type(module).__name__} does not hand on what its model is told of packs: it cannot be used."
        )
    del attention_mask  # the layout says it all; transformers passes None for an attention it does not know
    if dropout or extras.get("s_aux") is not None:
        raise ModelError(
            f"{type(module).__name__} uses {'attention dropout' if dropout else 'attention sinks'}, "
            "which Tiebreak's attention does not have. Set it to zero in the model's config.json, or use another model."
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if supports_kernels(query.device, value.dtype) and query.shape[-1] in HEAD_DIMS:
        from tiebreak.models.kernels.attention import ForestAttention, Scoring

        window = 0 if sliding_window is None or sliding_window >= pack_layout.longest else sliding_window
        rows = [t[0].transpose(0, 1).to(value.dtype) for t in (query, key, value)]
        scoring = Scoring(scale, softcap or 0.0, window)
        out: Tensor = ForestAttention.apply(*rows, pack_layout.forest, scoring)  # type: ignore[no-untyped-call]
        return out[None], None
    window = NO_WINDOW if sliding_window is None else sliding_window
    out = segment_attention(query, key, value, pack_layout, scale=scale, softcap=softcap, window=window)
    return out.transpose(1, 2).contiguous(), None


def segment_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: PackLayout,
    *,
    scale: float,
    softcap: float | None,
    window: int,
) -> Tensor:
    """Attention one segment at a time: query [1, H, T, D], key and value [1, K, T, D] -> [1, H, T, D]."""
    groups = query.shape[1] // key.shape[1]
    key, value = (t.repeat_interleave(groups, dim=1) if groups > 1 else t for t in (key, value))
    outs = []
    for path in layout.paths:
        own = query[:, :, path[-1]]
        keys = torch.cat([key[:, :, part] for part in path], dim=2) if len(path) > 1 else key[:, :, path[-1]]
        values = torch.cat([value[:, :, part] for part in path], dim=2) if len(path) > 1 else value[:, :, path[-1]]
        allowed = _path_mask(own.shape[2], keys.shape[2], window, query.device)
        if softcap is None:
            outs.append(scaled_dot_product_attention(own, keys, values, attn_mask=allowed, scale=scale))
        else:
            scores = softcap * torch.tanh(own @ keys.transpose(2, 3) * scale / softcap)
            weights = scores.masked_fill(~allowed, float("-inf")).softmax(dim=-1, dtype=torch.float32)
            outs.append(weights.to(values.dtype) @ values)
    return torch.cat(outs, dim=2)


def _path_mask(own: int, path: int, window: int, device: torch.device) -> Tensor:
    """Bool [L, P]: a path's tokens lie in order of their positions, and the last L of them are the segment's own."""
    keys = torch.arange(path, device=device)
    distance = keys[path - own :, None] - keys
    return (distance >= 0) & (distance < window)


AttentionInterface.register(ATTENTION, pack_attention)
