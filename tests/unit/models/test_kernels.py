"""Each kernel against the same thing written in plain PyTorch, in float32."""

from __future__ import annotations

import tests.unit.models.interpreted  # noqa: F401  # isort: skip

import numpy as np
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from torch import Tensor
from torch.nn.functional import gelu, silu

from tiebreak.models.attention import NO_WINDOW, segment_attention
from tiebreak.models.kernels.attention import _TILINGS, Scoring, Tiling, backward, forward
from tiebreak.models.kernels.dropout import dropout
from tiebreak.models.kernels.fp8 import Forms, rows_to_fp8
from tiebreak.models.kernels.glu import glu, glu_backward
from tiebreak.models.kernels.nf4 import FourBitMatrix
from tiebreak.models.kernels.norm import join, norm, norm_backward
from tiebreak.models.kernels.rope import rope_
from tiebreak.models.pack_layout import PackLayout
from tiebreak.text import Pack, pack

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # rows beyond a segment's end, which are not stored


def forest(*families: tuple[int, ...]) -> Pack:
    """A pack of families: the length of a shared prefix, then the lengths of what follows it."""
    rng = np.random.default_rng(0)
    sequences, groups = [], []
    for family, (shared, *rest) in enumerate(families):
        prefix = rng.integers(3, 1000, shared)
        for own in rest:
            sequences.append(np.concatenate([prefix, rng.integers(3, 1000, own)]).astype(np.int32))
            groups.append(family)
    [item] = pack(sequences, tokens_per_pass=10_000, groups=groups)
    return item


# With the tiles below: several chunks and tiles a segment, partial and full ones, and a segment of one token.
LONG_AND_SHARED = forest((0, 75), (35, 1, 17), (0, 1))
WINDOW = 20  # longer than a tile of keys, so that a tile within the window of some rows only is met


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tiles a chunk, and two tiles of the inner loop in a tile of the outer one, as in the shipped tilings."""
    monkeypatch.setattr("tiebreak.models.pack_layout.CHUNK", 64)
    monkeypatch.setattr("tiebreak.models.kernels.attention.CHUNK", 64)
    for name in _TILINGS:
        monkeypatch.setitem(_TILINGS, name, (Tiling(32, 16, 4, 1),))


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("window", [None, WINDOW])
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_attention_forwards_and_backwards(softcap: float | None, window: int | None) -> None:
    layout = PackLayout(LONG_AND_SHARED, CPU)
    tokens = len(LONG_AND_SHARED.input_ids)
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, tokens, 16, requires_grad=True) for heads in (4, 2, 2))
    wanted = segment_attention(query, key, value, layout, scale=1.2, softcap=softcap, window=window or NO_WINDOW)
    grad = torch.randn_like(wanted)
    wanted.backward(grad)

    rows = [t.detach()[0].transpose(0, 1) for t in (query, key, value)]
    scoring = Scoring(1.2, softcap or 0.0, window or 0)
    out, lse = forward(*rows, layout.forest, scoring)
    torch.testing.assert_close(out, wanted.detach()[0].transpose(0, 1), atol=1e-5, rtol=1e-5)
    into = tuple(torch.empty_like(t) for t in rows)
    backward(grad[0].transpose(0, 1), *rows, out, lse, layout.forest, scoring, into=into)
    for got, leaf in zip(into, (query, key, value), strict=True):
        torch.testing.assert_close(got, leaf.grad[0].transpose(0, 1), atol=2e-4, rtol=1e-4)


def test_a_layout_says_who_sees_whom_as_the_pack_does() -> None:
    item = LONG_AND_SHARED
    segments = PackLayout(item, CPU).forest.segments.long()
    segment_of = torch.repeat_interleave(torch.arange(len(segments)), segments[:, 1] - segments[:, 0])
    index = torch.arange(len(item.input_ids))
    # The kernels' rule: at or after the key, before the reach of the key's segment.
    sees = (index[:, None] >= index) & (index[:, None] < segments[segment_of, 2])
    np.testing.assert_array_equal(sees.numpy(), item.mask())


def test_a_pack_out_of_preorder_is_refused() -> None:
    item = forest((2, 1, 1), (2, 1, 1))
    starts, parents = item.starts, item.parents.copy()
    parents[[2, 4]] = parents[[4, 2]]  # the children of two roots, crossed
    crossed = Pack(item.input_ids, item.positions, starts, parents, item.pooled, item.sequences)
    with pytest.raises(ValueError, match="preorder"):
        _ = PackLayout(crossed, CPU).forest


def rms(x: Tensor, gain: Tensor) -> Tensor:
    return gain * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def test_norms() -> None:
    torch.manual_seed(0)
    x, residual, grad = (torch.randn(5, 48) for _ in range(3))
    gain, next_gain = torch.rand(48) + 0.5, torch.rand(48) + 0.5
    x.requires_grad_()
    wanted = rms(x, gain)
    wanted.backward(grad)
    close = lambda got, true: torch.testing.assert_close(got, true, atol=1e-6, rtol=1e-5)  # noqa: E731
    with torch.no_grad():
        close(norm(x, gain, 1e-6).plain, wanted)
        close(norm(x, gain, 1e-6, residual=residual).plain, wanted + residual)
        close(norm_backward(grad, x, gain, 1e-6).plain, x.grad)
        close(norm_backward(grad, x, gain, 1e-6, residual=residual).plain, x.grad + residual)
        for first in (gain, None):
            joined, normed = join(x, first, residual, next_gain, 1e-6)
            close(joined, residual + (x if first is None else wanted))
            close(normed.plain, rms(joined, next_gain))


@pytest.mark.parametrize("gating", ["gelu_tanh", "silu"])
def test_gated_linear_units(gating: str) -> None:
    torch.manual_seed(0)
    both = (3 * torch.randn(4, 2 * 70)).requires_grad_()
    gate, up = both.split(70, dim=1)
    wanted = (gelu(gate, approximate="tanh") if gating == "gelu_tanh" else silu(gate)) * up
    grad = torch.randn_like(wanted)
    wanted.backward(grad)
    torch.testing.assert_close(glu(both.detach(), gating).plain, wanted.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(glu_backward(grad, both.detach(), gating).plain, both.grad, atol=5e-5, rtol=1e-4)


def test_rotary_embeddings_turn_the_first_heads_and_back() -> None:
    torch.manual_seed(0)
    x = torch.randn(21, 3 * 16)
    angles = torch.rand(21, 8).repeat(1, 2)
    heads = x[:, :32].view(21, 2, 16)
    turned = torch.cat([-heads[..., 8:], heads[..., :8]], dim=-1)
    wanted = heads * angles.cos()[:, None] + turned * angles.sin()[:, None]
    got = x.clone()
    rope_(got, angles.cos(), angles.sin(), heads=2, dim=16)
    torch.testing.assert_close(got[:, :32].view(21, 2, 16), wanted, atol=1e-6, rtol=1e-5)
    assert torch.equal(got[:, 32:], x[:, 32:])
    rope_(got, angles.cos(), angles.sin(), heads=2, dim=16, inverse=True)
    torch.testing.assert_close(got, x, atol=1e-6, rtol=1e-5)


def test_four_bits_come_back_as_bitsandbytes_brings_them() -> None:
    torch.manual_seed(0)
    data, state = quantize_4bit(torch.randn(64, 192), quant_type="nf4", compress_statistics=True)
    weight = torch.nn.Parameter(data, requires_grad=False)
    weight.quant_state = state
    matrix = FourBitMatrix.of(weight)
    assert torch.equal(matrix.dequantize(torch.float32), dequantize_4bit(data, state))


def test_dropout_drops_its_share_by_its_seed_alone() -> None:
    x = torch.rand(300, 111) + 1
    dropped = dropout(x, 0.25, seed=7)
    share = (dropped == 0).float().mean().item()
    assert abs(share - 0.25) < 0.01  # four standard deviations
    torch.testing.assert_close(dropped[dropped != 0], x[dropped != 0] / 0.75)
    assert torch.equal(dropped, dropout(x, 0.25, seed=7))
    assert not torch.equal(dropped, dropout(x, 0.25, seed=8))
    total = torch.ones_like(x)
    assert dropout(x, 0.25, seed=7, add_to=total) is total
    torch.testing.assert_close(total, dropped + 1)


def test_rows_in_fp8_have_their_own_scales() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 70) * torch.tensor([1e-4, 1, 50, 1e4, 3, 0]).reshape(6, 1)
    values, scale = rows_to_fp8(x)
    assert values.dtype == torch.float8_e4m3fn
    torch.testing.assert_close(scale[:5], x[:5].abs().amax(1, keepdim=True) / 448)
    assert not values[5].float().any()
    # Three bits of mantissa: at most a sixteenth off, but for what is tiny in its row. (The interpreter rounds a
    # few numbers to the next but one, which the GPU does not; tests/gpu asks for the sixteenth.)
    error = (values.float() * scale - x).norm(dim=1)[:5] / x.norm(dim=1)[:5]
    assert error.max() < 0.1
    assert norm(x, torch.ones(70), 1e-6, forms=Forms(plain=False, fp8=True)).plain is None
