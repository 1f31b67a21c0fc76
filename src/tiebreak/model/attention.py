"""Attention over packs, registered with transformers under the name `tiebreak`.

A pack is one row of tokens that holds a forest of segments (`tiebreak.text.pack`). A token attends to the tokens at
or before its own position in its segment and in the segment's ancestors; a sliding window counts positions. Two
implementations give the same numbers:

- `flex`: FlexAttention under `torch.compile` with block masks built once a pack, on CUDA devices from Ampere on;
- `segments`: one small attention a segment, over the segment and its ancestors, everywhere else.

Legend of shapes: H query heads, K key/value heads, T tokens of the pack, L tokens of a segment, P tokens of a path
(a segment and its ancestors), D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

from tiebreak.errors import ModelError

if TYPE_CHECKING:
    from tiebreak.text import Pack

ATTENTION: Final = "tiebreak"
"""The name to load a model with: `attn_implementation=ATTENTION`."""

BLOCK: Final = 128
"""Tokens a side of one FlexAttention block: its default, and a multiple of every kernel tile it may choose."""

NO_WINDOW: Final = 2**30
"""A sliding window longer than any pack."""


def supports_flex(device: torch.device) -> bool:
    """Whether FlexAttention's compiled kernels, forward and backward, run on this device."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


@dataclass(frozen=True)
class PackLayout:
    """Who attends to whom in one pack, on the device of the model; made once and shared by all layers.

    `positions` and `segment_of` are int32 [T]; `sees` is bool [segments, segments]: `sees[s, t]` when t is s or one
    of its ancestors. `paths[s]` lists the token ranges of s's ancestors, root first, and of s itself last.
    """

    positions: Tensor
    segment_of: Tensor
    sees: Tensor
    paths: tuple[tuple[slice, ...], ...]

    @classmethod
    def of(cls, pack: Pack, device: torch.device) -> PackLayout:
        """The layout of a pack."""
        bounds = pack.starts.tolist()
        paths: list[tuple[slice, ...]] = []
        sees = torch.eye(len(bounds) - 1, dtype=torch.bool)
        for segment, parent in enumerate(pack.parents.tolist()):
            own = slice(bounds[segment], bounds[segment + 1])
            if parent < 0:
                paths.append((own,))
            else:
                paths.append((*paths[parent], own))
                sees[segment] |= sees[parent]
        lengths = torch.tensor([stop - start for start, stop in pairwise(bounds)])
        segment_of = torch.repeat_interleave(torch.arange(len(lengths), dtype=torch.int32), lengths)
        return cls(
            positions=torch.as_tensor(pack.positions, dtype=torch.int32).to(device, non_blocking=True),
            segment_of=segment_of.to(device, non_blocking=True),
            sees=sees.to(device, non_blocking=True),
            paths=tuple(paths),
        )

    @cached_property
    def _block_masks(self) -> dict[int, BlockMask]:
        return {}

    def block_mask(self, window: int) -> BlockMask:
        """FlexAttention's mask of this pack for one sliding window (`NO_WINDOW` for none), built at first use."""
        if window not in self._block_masks:
            self._block_masks[window] = _block_mask(self, window)
        return self._block_masks[window]


def _block_mask(layout: PackLayout, window: int) -> BlockMask:
    """Blocks of BLOCK x BLOCK tokens in which some pair attends, told apart from those in which every pair does."""
    tokens = len(layout.positions)
    blocks = -(-tokens // BLOCK)
    # Tokens that only fill the last block belong to a segment of their own.
    sees = pad(layout.sees, (0, 1, 0, 1), value=False)
    sees[-1, -1] = True
    segment_of = pad(layout.segment_of, (0, blocks * BLOCK - tokens), value=len(layout.sees))
    positions = pad(layout.positions, (0, blocks * BLOCK - tokens))
    reach = torch.tensor(window, device=positions.device)  # as a tensor, so that no kernel is compiled for its value
    partial, full = [], []
    for first in range(0, blocks * BLOCK, BLOCK):
        rows = slice(first, first + BLOCK)
        distance = positions[rows, None] - positions[None, :]
        attends = sees[segment_of[rows]][:, segment_of] & (distance >= 0) & (distance < window)
        counts = attends.view(BLOCK, blocks, BLOCK).sum(dim=(0, 2))
        full.append(counts == BLOCK * BLOCK)
        partial.append((counts > 0) & (counts < BLOCK * BLOCK))

    def mask_mod(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        distance = positions[query] - positions[key]
        return sees[segment_of[query], segment_of[key]] & (distance >= 0) & (distance < reach)

    return BlockMask.from_kv_blocks(
        *_ordered(torch.stack(partial)),
        *_ordered(torch.stack(full)),
        BLOCK_SIZE=BLOCK,
        mask_mod=mask_mod,
        seq_lengths=(blocks * BLOCK, blocks * BLOCK),
    )


def _ordered(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Counts [1, 1, blocks] and indices [1, 1, blocks, blocks] (the wanted ones first) of a bool [blocks, blocks]."""
    counts = wanted.sum(dim=1, dtype=torch.int32)
    indices = torch.argsort(wanted.to(torch.int8), dim=1, descending=True, stable=True).to(torch.int32)
    return counts[None, None], indices[None, None]


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
    window = NO_WINDOW if sliding_window is None else sliding_window
    if supports_flex(query.device):
        out = _flex_attention(query, key, value, pack_layout.block_mask(window), scale=scale, softcap=softcap)
    else:
        out = segment_attention(query, key, value, pack_layout, scale=scale, softcap=softcap, window=window)
    return out.transpose(1, 2).contiguous(), None


def _flex_attention(
    query: Tensor, key: Tensor, value: Tensor, block_mask: BlockMask, *, scale: float, softcap: float | None
) -> Tensor:
    """FlexAttention in the values' type: [1, H, T, D], [1, K, T, D] twice -> [1, H, T, D]."""
    tokens = query.shape[2]
    # Whole blocks: its kernels for fewer than 128 queries know no backward pass.
    filled = [pad(t.to(value.dtype), (0, 0, 0, -tokens % BLOCK)) for t in (query, key, value)]
    for tensor in filled:  # only the number of tokens varies from pack to pack
        for dimension in (0, 1, 3):
            torch._dynamo.mark_static(tensor, dimension)
    with torch.autocast(query.device.type, enabled=False):  # under autocast it cannot be traced in one piece
        out: Tensor = _flex()(
            *filled, block_mask=block_mask, scale=scale, score_mod=_soft_cap(softcap), enable_gqa=True
        )
    return out[:, :, :tokens]


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


@cache
def _flex() -> Callable[..., Any]:
    """FlexAttention, compiled for the first pack's length and then, once, for any.

    Not with `dynamic=True`: that would make a variable of the soft cap too, which its backward pass cannot have.
    """
    # With and without gradients, with and without a soft cap, packs of one block and of several: each is compiled on
    # its own, and past the limit torch would run the slow reference instead, which has no backward pass under autocast.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
    return torch.compile(flex_attention)


@cache
def _soft_cap(softcap: float | None) -> Callable[..., Tensor] | None:
    """Gemma 2's soft cap on attention scores (Gemma 2 report, section 2): cap * tanh(score / cap)."""
    if softcap is None:
        return None

    def capped(score: Tensor, _batch: Tensor, _head: Tensor, _query: Tensor, _key: Tensor) -> Tensor:
        return softcap * torch.tanh(score / softcap)

    return capped


AttentionInterface.register(ATTENTION, pack_attention)
