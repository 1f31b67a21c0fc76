"""Attention over packs as Triton kernels, forward and backward, for head dimensions up to 256.

The algorithm is FlashAttention-2 (Dao 2023) on a forest of segments. Tiles do not cross segments. The forward pass and
the gradient of the queries loop, for each query tile, over the keys of its segment and of the segment's ancestors. The
gradients of keys and values loop, for each key tile, over the queries of its segment and of the segment's descendants.
Segments are in preorder, so a segment and its descendants are contiguous, and

    query q attends to key k   if and only if   k <= q < reach of k's segment   (and q's position - k's < window).

Tiles without a pair of tokens that fulfils the first condition are skipped; the window skips tiles of a query's own
segment only, in the forward pass and in the gradient of the queries. Every sum has a fixed order: the same pack gives
the same bits.

Legend of shapes: H query heads, K key/value heads, T tokens of the pack, D head dimension, S segments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import torch
import triton
from torch import Tensor
from triton.runtime.errors import OutOfResources

from tiebreak.models.kernels.attention_device import delta_kernel, forward_kernel, grad_kv_kernel, grad_q_kernel
from tiebreak.models.pack_layout import CHUNK, Forest


class Tiling(NamedTuple):
    """Tokens of a kernel's outer tile (which divides CHUNK) and of its inner tile, warps, pipeline stages."""

    outer: int
    inner: int
    warps: int
    stages: int


_TILINGS: Final[dict[str, tuple[Tiling, ...]]] = {
    "forward": (Tiling(128, 32, 8, 3), Tiling(64, 32, 4, 2), Tiling(64, 32, 4, 1), Tiling(32, 16, 4, 1)),
    "grad_q": (Tiling(128, 64, 8, 1), Tiling(64, 32, 4, 1), Tiling(32, 32, 4, 1), Tiling(16, 16, 4, 1)),
    "grad_k": (Tiling(128, 32, 8, 1), Tiling(64, 32, 4, 1), Tiling(32, 32, 4, 1), Tiling(16, 16, 4, 1)),
    "grad_v": (Tiling(128, 64, 8, 1), Tiling(64, 32, 4, 1), Tiling(32, 32, 4, 1), Tiling(16, 16, 4, 1)),
}
"""By kernel, fastest first; if a GPU has too little shared memory for one, the next is tried.

Measured on an H200 (perf/kernel_times.py). The gradients of keys and values are computed in two launches: at dimension
256 each accumulator fills the registers, and tiles of 128 keys save more time than computing the weights twice costs.
"""

_fitting: dict[tuple[str, torch.device, torch.dtype, int], int] = {}


def _launch(name: str, like: Tensor, start: Callable[[Tiling], Any]) -> None:
    """Launch a kernel with the first tiling that fits the GPU; its index is cached."""
    known = (name, like.device, like.dtype, like.shape[-1])
    tilings = _TILINGS[name]
    while True:
        number = _fitting.setdefault(known, 0)
        try:
            start(tilings[number])
            return
        except OutOfResources:
            if number + 1 == len(tilings):
                raise
            _fitting[known] = number + 1


@dataclass(frozen=True)
class Scoring:
    """Scores `scale * q.k`, then `softcap * tanh(score / softcap)`, in a sliding `window`; 0 for no cap or window."""

    scale: float
    softcap: float
    window: int


def _constants(query: Tensor, key: Tensor, scoring: Scoring) -> dict[str, Any]:
    return {
        "GROUP": query.shape[1] // key.shape[1], "D": query.shape[2], "CHUNK": CHUNK,
        "SOFTCAP": scoring.softcap > 0, "WINDOW": scoring.window > 0,
    }  # fmt: skip


def forward(query: Tensor, key: Tensor, value: Tensor, forest: Forest, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """query [T, H, D], key and value [T, K, D] -> out [T, H, D], and log2 of the sum of exp(scores), float32 [H, T].

    D is a power of two from 16 to 256, and contiguous in all inputs.
    """
    tokens, heads, dim = query.shape
    out = torch.empty((tokens, heads, dim), dtype=query.dtype, device=query.device)
    lse = torch.empty((heads, tokens), dtype=torch.float32, device=query.device)
    # Soft-capped scores need no running maximum: exp(60) does not overflow float32 or bfloat16.
    fixed = 0 < scoring.softcap <= 60 and query.dtype != torch.float16

    def start(tiling: Tiling) -> None:
        forward_kernel[heads, len(forest.query_chunks) * (CHUNK // tiling.outer)](
            query, key, value, out, lse, forest.segments, forest.query_chunks, tokens,
            *query.stride()[:2], *key.stride()[:2], *value.stride()[:2], *out.stride()[:2],
            scoring.scale, scoring.softcap, scoring.window,
            M=tiling.outer, N=tiling.inner, FIXED=fixed, **_constants(query, key, scoring),
            num_warps=tiling.warps, num_stages=tiling.stages,
        )  # fmt: skip

    _launch("forward", query, start)
    return out, lse


def backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor,
    forest: Forest, scoring: Scoring, *, into: tuple[Tensor, Tensor, Tensor],
) -> None:  # fmt: skip
    """Write the gradients of query, key and value to `into`, given `grad`, the gradient of out [T, H, D].

    D is contiguous in all tensors; the gradients of key and value have equal strides.
    """
    tokens, heads, dim = query.shape
    grad_q, grad_k, grad_v = into
    delta = torch.empty_like(lse)
    rows = 32
    delta_kernel[heads, triton.cdiv(tokens, rows)](
        out, grad, delta, tokens, *out.stride()[:2], *grad.stride()[:2], D=dim, M=rows
    )
    constants = _constants(query, key, scoring)
    strides = (*query.stride()[:2], *key.stride()[:2], *value.stride()[:2], *grad.stride()[:2])
    settings = (scoring.scale, scoring.softcap, scoring.window)

    def start_q(tiling: Tiling) -> None:
        grad_q_kernel[heads, len(forest.query_chunks) * (CHUNK // tiling.outer)](
            query, key, value, grad, lse, delta, grad_q, forest.segments, forest.query_chunks, tokens,
            *strides, *grad_q.stride()[:2], *settings,
            M=tiling.outer, N=tiling.inner, **constants, num_warps=tiling.warps, num_stages=tiling.stages,
        )  # fmt: skip

    def start_kv(tiling: Tiling, *, with_k: bool) -> None:
        grad_kv_kernel[key.shape[1], len(forest.key_chunks) * (CHUNK // tiling.outer)](
            query, key, value, grad, lse, delta, grad_k, grad_v, forest.positions, forest.segments, forest.key_chunks,
            tokens, *strides, *grad_k.stride()[:2], *settings,
            M=tiling.inner, N=tiling.outer, **constants, WITH_K=with_k, WITH_V=not with_k,
            num_warps=tiling.warps, num_stages=tiling.stages,
        )  # fmt: skip

    _launch("grad_q", query, start_q)
    _launch("grad_k", query, partial(start_kv, with_k=True))
    _launch("grad_v", query, partial(start_kv, with_k=False))


class ForestAttention(torch.autograd.Function):
    """`forward` and `backward` for autograd: query [T, H, D], key and value [T, K, D] -> [T, H, D]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, forest: Forest, scoring: Scoring) -> Tensor:
        """See the module's `forward`."""
        out, lse = forward(query, key, value, forest, scoring)
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.forest, ctx.scoring = forest, scoring
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """See the module's `backward`."""
        query, key, value, out, lse = ctx.saved_tensors
        into = tuple(torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (query, key, value))
        backward(grads[0].contiguous(), query, key, value, out, lse, ctx.forest, ctx.scoring, into=into)  # type: ignore
        return (*into, None, None)
