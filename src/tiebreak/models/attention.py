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

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from tiebreak.errors import ModelError
from tiebreak.models.pack_layout import PackLayout

ATTENTION: Final = "tiebreak"
"""The name to load a model with: `attn_implementation=ATTENTION`."""

HEAD_DIMS: Final = (16, 32, 64, 128, 256)
"""Head dimensions that the kernels support."""

NO_WINDOW: Final = 2**30
"""A sliding window longer than any pack."""


def supports_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the Triton kernels run on this device with this type: 16-bit types on CUDA devices from Ampere on."""
    return device.type == "cuda" and dtype.itemsize == 2 and torch.cuda.get_device_capability(device) >= (8, 0)


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
    """The attention function that transformers calls: query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D].

    Raises:
        ModelError: the model does not pass the layout on, or uses attention dropout.
    """
    if pack_layout is None:
        raise ModelError(
            f"{type(module).__name__} does not pass keyword arguments on to its attention, so packs cannot "
            "be used with it. Use another base model."
        )
    del attention_mask  # the layout replaces it; transformers passes None to an attention that it does not know
    if dropout:
        raise ModelError(
            f"{type(module).__name__} uses attention dropout, which Tiebreak's attention does not support. Set it to "
            "zero in the model's config.json, or use another model."
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    sinks: Tensor | None = extras.get("s_aux")
    same_dims = query.shape[-1] == value.shape[-1]  # they differ in multi-head latent attention
    if sinks is None and same_dims and supports_kernels(query.device, value.dtype) and query.shape[-1] in HEAD_DIMS:
        from tiebreak.models.kernels.attention import ForestAttention, Scoring

        window = 0 if sliding_window is None or sliding_window >= pack_layout.longest else sliding_window
        rows = [t[0].transpose(0, 1).to(value.dtype) for t in (query, key, value)]
        scoring = Scoring(scale, softcap or 0.0, window)
        out: Tensor = ForestAttention.apply(*rows, pack_layout.forest, scoring)  # type: ignore[no-untyped-call]
        return out[None], None
    window = NO_WINDOW if sliding_window is None else sliding_window
    out = segment_attention(query, key, value, pack_layout, scale=scale, softcap=softcap, window=window, sinks=sinks)
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
    sinks: Tensor | None = None,
) -> Tensor:
    """Attention segment by segment: query [1, H, T, D], key and value [1, K, T, D] -> [1, H, T, D].

    Args:
        query: of all tokens.
        key: of all tokens.
        value: of all tokens; its head dimension may differ from the query's, and the output has it.
        layout: of the pack.
        scale: of the products of query and key.
        softcap: the limit of the scores, if any.
        window: the number of latest positions that a token attends to.
        sinks: [H], a logit of each head that takes part in the softmax and has no value (GPT-OSS).
    """
    groups = query.shape[1] // key.shape[1]
    key, value = (t.repeat_interleave(groups, dim=1) if groups > 1 else t for t in (key, value))
    outs = []
    for path in layout.paths:
        own = query[:, :, path[-1]]
        keys = torch.cat([key[:, :, part] for part in path], dim=2) if len(path) > 1 else key[:, :, path[-1]]
        values = torch.cat([value[:, :, part] for part in path], dim=2) if len(path) > 1 else value[:, :, path[-1]]
        allowed = _path_mask(own.shape[2], keys.shape[2], window, query.device)
        if softcap is None and sinks is None:
            outs.append(scaled_dot_product_attention(own, keys, values, attn_mask=allowed, scale=scale))
        else:
            scores = own @ keys.transpose(2, 3) * scale
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            scores = scores.masked_fill(~allowed, float("-inf"))
            if sinks is not None:
                sink = sinks.to(scores.dtype)[None, :, None, None].expand(-1, -1, scores.shape[2], 1)
                scores = torch.cat([scores, sink], dim=-1)
            weights = scores.softmax(dim=-1, dtype=torch.float32)[..., : keys.shape[2]]
            outs.append(weights.to(values.dtype) @ values)
    return torch.cat(outs, dim=2)


def _path_mask(own: int, path: int, window: int, device: torch.device) -> Tensor:
    """Bool [L, P]: the tokens of a path are in order of position, and the last L of them are the segment's own."""
    keys = torch.arange(path, device=device)
    distance = keys[path - own :, None] - keys
    return (distance >= 0) & (distance < window)


AttentionInterface.register(ATTENTION, pack_attention)
