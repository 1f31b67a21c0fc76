"""FlexAttention on a GPU against the per-segment loop, at Gemma 2's head shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.unit.model.conftest import make_pair, padded_logits
from tiebreak.model import attention, pack_logits
from tiebreak.model.attention import NO_WINDOW, PackLayout, pack_attention, segment_attention, supports_flex
from tiebreak.text import Pack, pack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or not supports_flex(torch.device("cuda")),
        reason="needs a CUDA device of compute capability 8.0 or later",
    ),
]

CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def _nothing_compiled() -> None:
    torch._dynamo.reset()


def forest(seed: int, tokens: int = 1500) -> Pack:
    """A pack of roots and of pairs that share a prefix, of awkward lengths."""
    rng = np.random.default_rng(seed)
    sequences, groups = [], []
    for group in range(8):
        prefix = rng.integers(1, 97, size=int(rng.integers(20, 200)))
        for _ in range(1 + group % 2):
            tail = rng.integers(1, 97, size=int(rng.integers(1, 90)))
            sequences.append(np.concatenate([prefix, tail]).astype(np.int32))
            groups.append(group)
    [item, *_] = pack(sequences, tokens_per_pass=tokens, groups=groups)
    return item


@pytest.mark.parametrize("softcap", [None, 50.0])
@pytest.mark.parametrize("window", [None, 64])
@pytest.mark.parametrize("seed", [0, 1])
def test_flex_equals_the_segment_loop(seed: int, window: int | None, softcap: float | None) -> None:
    item = forest(seed)
    layout = PackLayout.of(item, CUDA)
    tokens = len(item.input_ids)
    torch.manual_seed(seed)
    make = lambda heads: torch.randn(1, heads, tokens, 256, device=CUDA, requires_grad=True)  # noqa: E731
    query, key, value, upstream = make(16), make(8), make(8), torch.randn(1, tokens, 16, 256, device=CUDA)

    def run(dtype: torch.dtype, flex: bool) -> list[torch.Tensor]:
        inputs = [t.detach().to(dtype).requires_grad_() for t in (query, key, value)]
        if flex:
            out, _ = pack_attention(
                torch.nn.Identity(), *inputs, None, pack_layout=layout, scaling=1 / 16, softcap=softcap,
                sliding_window=window,
            )  # fmt: skip
        else:
            out = segment_attention(
                *inputs, layout, scale=1 / 16, softcap=softcap, window=NO_WINDOW if window is None else window
            ).transpose(1, 2)
        out.backward(upstream.to(dtype))
        return [out.detach(), *(t.grad for t in inputs)]

    reference = run(torch.float64, flex=False)
    for got, wanted in zip(run(torch.bfloat16, flex=True), reference, strict=True):
        assert ((got.double() - wanted).norm() / wanted.norm()).item() < 1e-2


@pytest.mark.parametrize("name", ["gemma2", "llama", "qwen2-window"])
def test_packed_bf16_logits_on_the_gpu_are_within_bf16_noise_of_eager_float32(name: str) -> None:
    eager, packed = make_pair(name)
    ids = [np.random.default_rng(i).integers(1, 97, size=20 + 13 * i).astype(np.int32) for i in range(9)]
    with torch.no_grad():
        wanted = padded_logits(eager, ids)
    packed.to(CUDA)
    [item] = pack(ids, tokens_per_pass=10_000)
    got = pack_logits(packed, item, torch.bfloat16)
    got = got[np.argsort(item.sequences)].float().cpu()
    assert (got - wanted).norm() / wanted.norm() < 0.03


def test_packs_of_many_lengths_compile_a_handful_of_times() -> None:
    _, packed = make_pair("gemma2")
    packed.to(CUDA)
    torch._dynamo.utils.counters.clear()
    for length in range(40, 1240, 37):
        ids = [np.arange(1, length % 90 + 2, dtype=np.int32), np.full(length, 3, dtype=np.int32)]
        for item in pack(ids, tokens_per_pass=2000):
            pack_logits(packed, item, torch.bfloat16).sum().backward()
    assert attention._flex.cache_info().currsize == 1
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 12
