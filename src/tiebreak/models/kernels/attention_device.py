"""The device code of `tiebreak.models.kernels.attention`, which describes the algorithm and launches these kernels.

Legend of shapes: T tokens of the pack, H query heads, D head dimension, S segments, C chunks, M queries of a tile, N
keys of a tile. `segments` is int32 [S, 5] (columns below), `chunks` int32 [C, 2] (first token, segment), `positions`
int32 [T]. q, out and their gradients are [T, H, D]; k, v and their gradients [T, H / GROUP, D]; lse and delta float32
[H, T]. Of each tensor a kernel gets the strides of tokens (`stride_qt`) and of heads (`stride_qh`) in elements; D is
contiguous. The second letter of a stride names the tensor: q, k, v, o (out), g (gradient of out), d (gradient that is
written).
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl

START: Final = tl.constexpr(0)
STOP: Final = tl.constexpr(1)
REACH: Final = tl.constexpr(2)
DEPTH: Final = tl.constexpr(3)
PARENT: Final = tl.constexpr(4)
COLUMNS: Final = tl.constexpr(5)
"""Columns of the segment table: first token, end (exclusive), end of the last descendant (exclusive), position of the
first token, index of the parent segment or -1."""

LOG2_E: Final = tl.constexpr(1.4426950408889634)


@triton.jit
def _locate_tile(chunks, segments, CHUNK: tl.constexpr, SIZE: tl.constexpr):
    """The outer tile of this program: its first token, and its segment's row of the table, start, stop and depth."""
    chunk = chunks + 2 * (tl.program_id(1) // (CHUNK // SIZE))
    first = tl.load(chunk) + tl.program_id(1) % (CHUNK // SIZE) * SIZE
    segment = segments + COLUMNS * tl.load(chunk + 1)
    return first, segment, tl.load(segment + START), tl.load(segment + STOP), tl.load(segment + DEPTH)


@triton.jit
def _scores(q, k, scale, softcap, SOFTCAP: tl.constexpr):
    """Attention scores times log2(e), for exp2, and the derivative of the soft cap (unused without one)."""
    raw = tl.dot(q, k, input_precision="ieee") * scale
    if SOFTCAP:
        # tanh from exp2: accurate to float32 rounding, and it saturates without a branch.
        tanh = 1.0 - 2.0 / (tl.exp2(raw * (2.0 * LOG2_E / softcap)) + 1.0)
        return tanh * (softcap * LOG2_E), 1.0 - tanh * tanh
    return raw * LOG2_E, raw


@triton.jit
def _attend(
    acc, row_sum, row_max, q, rows, row_position, k_ptr, v_ptr, stride_k, stride_v, first, stop, start, depth,
    scale, softcap, window,
    D: tl.constexpr, N: tl.constexpr, SOFTCAP: tl.constexpr, WINDOW: tl.constexpr, FIXED: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """Update the online softmax of a query tile with the keys first:stop of one segment.

    The segment starts at token `start`, which has position `depth`. `acc` [M, D] is the weighted sum of the values,
    `row_sum` and `row_max` [M] the sum of each query's weights and the maximum of its scores. MASKED: compare positions
    and bounds; needed on the diagonal and in the partial last tile of an ancestor. FIXED: no running maximum.
    """
    dims = tl.arange(0, D)
    for begin in range(first, stop, N):
        keys = begin + tl.arange(0, N)
        if MASKED:
            k = tl.load(k_ptr + keys[None, :] * stride_k + dims[:, None], mask=keys[None, :] < stop, other=0.0)
        else:
            k = tl.load(k_ptr + keys[None, :] * stride_k + dims[:, None])
        score, _ = _scores(q, k, scale, softcap, SOFTCAP)
        if MASKED or WINDOW:
            distance = row_position[:, None] - (depth + keys - start)[None, :]
            visible = (keys < stop)[None, :] & (distance >= 0)
            if WINDOW:
                visible = visible & (distance < window)
            score = tl.where(visible, score, float("-inf"))
        if FIXED:
            weights = tl.exp2(score)
        else:
            new_max = tl.maximum(row_max, tl.max(score, 1))
            if WINDOW:  # all keys so far may be outside of a row's window
                new_max = tl.where(new_max == float("-inf"), 0.0, new_max)
            weights = tl.exp2(score - new_max[:, None])
            rescale = tl.exp2(row_max - new_max)
            row_sum = row_sum * rescale
            acc = acc * rescale[:, None]
            row_max = new_max
        row_sum += tl.sum(weights, 1)
        if MASKED:
            v = tl.load(v_ptr + keys[:, None] * stride_v + dims[None, :], mask=keys[:, None] < stop, other=0.0)
        else:
            v = tl.load(v_ptr + keys[:, None] * stride_v + dims[None, :])
        acc = tl.dot(weights.to(v.dtype), v, acc, input_precision="ieee")
    return acc, row_sum, row_max


@triton.jit(do_not_specialize=["tokens"])
def forward_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, segments, chunks, tokens,
    stride_qt, stride_qh, stride_kt, stride_kh, stride_vt, stride_vh, stride_ot, stride_oh,
    scale, softcap, window,
    GROUP: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    SOFTCAP: tl.constexpr, WINDOW: tl.constexpr, FIXED: tl.constexpr,
):  # fmt: skip
    """Compute out [T, H, D] and lse [H, T] for one query tile and head."""
    head = tl.program_id(0)
    row, segment, start, stop, depth = _locate_tile(chunks, segments, CHUNK, M)
    if row >= stop:
        return
    rows = row + tl.arange(0, M)
    row_position = depth + rows - start
    dims = tl.arange(0, D)
    at = rows[:, None] * stride_qt + head * stride_qh + dims[None, :]
    q = tl.load(q_ptr + at, mask=rows[:, None] < stop, other=0.0)
    k_ptr += (head // GROUP) * stride_kh
    v_ptr += (head // GROUP) * stride_vh
    acc = tl.zeros([M, D], tl.float32)
    row_sum = tl.zeros([M], tl.float32)
    row_max = tl.full([M], float("-inf"), tl.float32)
    # The diagonal tiles first: each query attends to itself there, so row_max is finite from then on.
    diagonal = start + (row - start) // N * N
    acc, row_sum, row_max = _attend(
        acc, row_sum, row_max, q, rows, row_position, k_ptr, v_ptr, stride_kt, stride_vt,
        diagonal, tl.minimum(row + M, stop), start, depth, scale, softcap, window, D, N, SOFTCAP, WINDOW, FIXED, True,
    )  # fmt: skip
    window_start = start
    if WINDOW:  # skip the tiles that are outside of the window of all rows
        window_start = start + tl.maximum(row - start - window + 1, 0) // N * N
    acc, row_sum, row_max = _attend(
        acc, row_sum, row_max, q, rows, row_position, k_ptr, v_ptr, stride_kt, stride_vt,
        window_start, diagonal, start, depth, scale, softcap, window, D, N, SOFTCAP, WINDOW, FIXED, False,
    )  # fmt: skip
    parent = tl.load(segment + PARENT)
    while parent >= 0:
        ancestor = segments + COLUMNS * parent
        start = tl.load(ancestor + START)
        acc, row_sum, row_max = _attend(
            acc, row_sum, row_max, q, rows, row_position, k_ptr, v_ptr, stride_kt, stride_vt,
            start, tl.load(ancestor + STOP), start, tl.load(ancestor + DEPTH), scale, softcap, window,
            D, N, SOFTCAP, WINDOW, FIXED, True,
        )  # fmt: skip
        parent = tl.load(ancestor + PARENT)
    lse = tl.log2(row_sum)
    if not FIXED:
        lse += row_max
    tl.store(lse_ptr + head * tokens + rows, lse, mask=rows < stop)
    out = acc / row_sum[:, None]
    at = rows[:, None] * stride_ot + head * stride_oh + dims[None, :]
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=rows[:, None] < stop)


@triton.jit(do_not_specialize=["tokens"])
def delta_kernel(
    out_ptr, grad_ptr, delta_ptr, tokens, stride_ot, stride_oh, stride_gt, stride_gh, D: tl.constexpr, M: tl.constexpr
):
    """delta [H, T] of the softmax backward pass: the sum of out * grad over D."""
    head = tl.program_id(0)
    rows = tl.program_id(1) * M + tl.arange(0, M)
    dims = tl.arange(0, D)
    inside = rows[:, None] < tokens
    out = tl.load(out_ptr + rows[:, None] * stride_ot + head * stride_oh + dims[None, :], mask=inside, other=0.0)
    grad = tl.load(grad_ptr + rows[:, None] * stride_gt + head * stride_gh + dims[None, :], mask=inside, other=0.0)
    delta = tl.sum(out.to(tl.float32) * grad.to(tl.float32), 1)
    tl.store(delta_ptr + head * tokens + rows, delta, mask=rows < tokens)


@triton.jit
def _add_grad_q(
    grad_q, q, grad, lse, delta, row_position, k_ptr, v_ptr, stride_k, stride_v, first, stop, start, depth,
    scale, softcap, window,
    D: tl.constexpr, N: tl.constexpr, SOFTCAP: tl.constexpr, WINDOW: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Add the contribution of the keys first:stop of one segment to `grad_q` [M, D]; arguments as in `_attend`."""
    dims = tl.arange(0, D)
    for begin in range(first, stop, N):
        keys = begin + tl.arange(0, N)
        if MASKED:
            inside = keys[:, None] < stop
            k = tl.load(k_ptr + keys[:, None] * stride_k + dims[None, :], mask=inside, other=0.0)
            v = tl.load(v_ptr + keys[:, None] * stride_v + dims[None, :], mask=inside, other=0.0)
        else:
            k = tl.load(k_ptr + keys[:, None] * stride_k + dims[None, :])
            v = tl.load(v_ptr + keys[:, None] * stride_v + dims[None, :])
        score, slope = _scores(q, tl.trans(k), scale, softcap, SOFTCAP)
        if MASKED or WINDOW:
            distance = row_position[:, None] - (depth + keys - start)[None, :]
            visible = (keys < stop)[None, :] & (distance >= 0)
            if WINDOW:
                visible = visible & (distance < window)
            score = tl.where(visible, score, float("-inf"))
        weights = tl.exp2(score - lse[:, None])
        grad_score = weights * (tl.dot(grad, tl.trans(v), input_precision="ieee") - delta[:, None])
        if SOFTCAP:
            grad_score *= slope
        grad_q = tl.dot(grad_score.to(k.dtype), k, grad_q, input_precision="ieee")
    return grad_q


@triton.jit(do_not_specialize=["tokens"])
def grad_q_kernel(
    q_ptr, k_ptr, v_ptr, grad_ptr, lse_ptr, delta_ptr, grad_q_ptr, segments, chunks, tokens,
    stride_qt, stride_qh, stride_kt, stride_kh, stride_vt, stride_vh, stride_gt, stride_gh,
    stride_dt, stride_dh, scale, softcap, window,
    GROUP: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    SOFTCAP: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of q for one query tile and head."""
    head = tl.program_id(0)
    row, segment, start, stop, depth = _locate_tile(chunks, segments, CHUNK, M)
    if row >= stop:
        return
    rows = row + tl.arange(0, M)
    row_position = depth + rows - start
    inside = rows < stop
    dims = tl.arange(0, D)
    at = rows[:, None] * stride_qt + head * stride_qh + dims[None, :]
    q = tl.load(q_ptr + at, mask=inside[:, None], other=0.0)
    at = rows[:, None] * stride_gt + head * stride_gh + dims[None, :]
    grad = tl.load(grad_ptr + at, mask=inside[:, None], other=0.0)
    lse = tl.load(lse_ptr + head * tokens + rows, mask=inside, other=0.0)
    delta = tl.load(delta_ptr + head * tokens + rows, mask=inside, other=0.0)
    k_ptr += (head // GROUP) * stride_kh
    v_ptr += (head // GROUP) * stride_vh
    grad_q = tl.zeros([M, D], tl.float32)
    diagonal = start + (row - start) // N * N
    window_start = start
    if WINDOW:
        window_start = start + tl.maximum(row - start - window + 1, 0) // N * N
    grad_q = _add_grad_q(
        grad_q, q, grad, lse, delta, row_position, k_ptr, v_ptr, stride_kt, stride_vt,
        window_start, diagonal, start, depth, scale, softcap, window, D, N, SOFTCAP, WINDOW, False,
    )  # fmt: skip
    grad_q = _add_grad_q(
        grad_q, q, grad, lse, delta, row_position, k_ptr, v_ptr, stride_kt, stride_vt,
        diagonal, tl.minimum(row + M, stop), start, depth, scale, softcap, window, D, N, SOFTCAP, WINDOW, True,
    )  # fmt: skip
    parent = tl.load(segment + PARENT)
    while parent >= 0:
        ancestor = segments + COLUMNS * parent
        start = tl.load(ancestor + START)
        grad_q = _add_grad_q(
            grad_q, q, grad, lse, delta, row_position, k_ptr, v_ptr, stride_kt, stride_vt,
            start, tl.load(ancestor + STOP), start, tl.load(ancestor + DEPTH), scale, softcap, window,
            D, N, SOFTCAP, WINDOW, True,
        )  # fmt: skip
        parent = tl.load(ancestor + PARENT)
    at = rows[:, None] * stride_dt + head * stride_dh + dims[None, :]
    tl.store(grad_q_ptr + at, (grad_q * scale).to(grad_q_ptr.dtype.element_ty), mask=inside[:, None])


@triton.jit
def _add_grad_kv(
    grad_k, grad_v, k, v, keys, key_position, q_ptr, grad_ptr, lse_ptr, delta_ptr, positions,
    stride_q, stride_g, first, stop, reach, scale, softcap, window,
    D: tl.constexpr, M: tl.constexpr, SOFTCAP: tl.constexpr, WINDOW: tl.constexpr,
    WITH_K: tl.constexpr, WITH_V: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Add the contribution of the queries first:stop of one head to `grad_k` and `grad_v` [N, D].

    Queries from `reach` on are loaded as zeros with a zero gradient: they contribute nothing and need no mask.
    """
    dims = tl.arange(0, D)
    for begin in range(first, stop, M):
        rows = begin + tl.arange(0, M)
        inside = rows < reach
        q = tl.load(q_ptr + rows[:, None] * stride_q + dims[None, :], mask=inside[:, None], other=0.0)
        lse = tl.load(lse_ptr + rows, mask=inside, other=0.0)
        score, slope = _scores(k, tl.trans(q), scale, softcap, SOFTCAP)
        if MASKED or WINDOW:
            visible = keys[:, None] <= rows[None, :]
            if WINDOW:
                row_position = tl.load(positions + rows, mask=inside, other=0)
                visible = visible & (row_position[None, :] - key_position[:, None] < window)
            score = tl.where(visible, score, float("-inf"))
        weights = tl.exp2(score - lse[None, :])
        grad = tl.load(grad_ptr + rows[:, None] * stride_g + dims[None, :], mask=inside[:, None], other=0.0)
        if WITH_V:
            grad_v = tl.dot(weights.to(grad.dtype), grad, grad_v, input_precision="ieee")
        if WITH_K:
            delta = tl.load(delta_ptr + rows, mask=inside, other=0.0)
            grad_score = weights * (tl.dot(v, tl.trans(grad), input_precision="ieee") - delta[None, :])
            if SOFTCAP:
                grad_score *= slope
            grad_k = tl.dot(grad_score.to(q.dtype), q, grad_k, input_precision="ieee")
    return grad_k, grad_v


@triton.jit(do_not_specialize=["tokens"])
def grad_kv_kernel(
    q_ptr, k_ptr, v_ptr, grad_ptr, lse_ptr, delta_ptr, grad_k_ptr, grad_v_ptr, positions, segments, chunks, tokens,
    stride_qt, stride_qh, stride_kt, stride_kh, stride_vt, stride_vh, stride_gt, stride_gh,
    stride_dt, stride_dh, scale, softcap, window,
    GROUP: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    SOFTCAP: tl.constexpr, WINDOW: tl.constexpr, WITH_K: tl.constexpr, WITH_V: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of k, of v or of both for one key tile and key/value head."""
    kv_head = tl.program_id(0)
    first, segment, start, stop, depth = _locate_tile(chunks, segments, CHUNK, N)
    if first >= stop:
        return
    reach = tl.load(segment + REACH)
    keys = first + tl.arange(0, N)
    key_position = depth + keys - start
    dims = tl.arange(0, D)
    inside = keys[:, None] < stop
    k = tl.load(k_ptr + keys[:, None] * stride_kt + kv_head * stride_kh + dims[None, :], mask=inside, other=0.0)
    v = k
    if WITH_K:
        v = tl.load(v_ptr + keys[:, None] * stride_vt + kv_head * stride_vh + dims[None, :], mask=inside, other=0.0)
    grad_k = tl.zeros([N, D] if WITH_K else [1, 1], tl.float32)
    grad_v = tl.zeros([N, D] if WITH_V else [1, 1], tl.float32)
    diagonal_end = tl.minimum(first + N, reach)
    for member in range(GROUP):
        head = kv_head * GROUP + member
        grad_k, grad_v = _add_grad_kv(
            grad_k, grad_v, k, v, keys, key_position, q_ptr + head * stride_qh, grad_ptr + head * stride_gh,
            lse_ptr + head * tokens, delta_ptr + head * tokens, positions, stride_qt, stride_gt,
            first, diagonal_end, reach, scale, softcap, window, D, M, SOFTCAP, WINDOW, WITH_K, WITH_V, True,
        )  # fmt: skip
        grad_k, grad_v = _add_grad_kv(
            grad_k, grad_v, k, v, keys, key_position, q_ptr + head * stride_qh, grad_ptr + head * stride_gh,
            lse_ptr + head * tokens, delta_ptr + head * tokens, positions, stride_qt, stride_gt,
            first + N, reach, reach, scale, softcap, window, D, M, SOFTCAP, WINDOW, WITH_K, WITH_V, False,
        )  # fmt: skip
    at = keys[:, None] * stride_dt + kv_head * stride_dh + dims[None, :]
    if WITH_K:
        tl.store(grad_k_ptr + at, (grad_k * scale).to(grad_k_ptr.dtype.element_ty), mask=inside)
    if WITH_V:
        tl.store(grad_v_ptr + at, grad_v.to(grad_v_ptr.dtype.element_ty), mask=inside)
