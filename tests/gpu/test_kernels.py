"""The kernels and the hand-made layers on a GPU: against float64 and float32 truths, beside transformers' own error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from torch.nn.functional import cross_entropy

from tests.unit.models.conftest import make_pair, padded_logits
from tiebreak.models import add_adapter, layer_stack, lora_config, pack_logits, use_fused_layers
from tiebreak.models.attention import NO_WINDOW, pack_attention, segment_attention, supports_kernels
from tiebreak.models.fp8 import quantize_to_fp8, supports_fp8
from tiebreak.models.pack_layout import PackLayout
from tiebreak.text import Pack, pack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or not supports_kernels(torch.device("cuda"), torch.bfloat16),
        reason="needs a CUDA device of compute capability 8.0 or later",
    ),
]

CUDA = torch.device("cuda")
LARGER = {"hidden_size": 1024, "intermediate_size": 2048, "num_attention_heads": 8, "num_key_value_heads": 4,
          "head_dim": 128}  # fmt: skip


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


@pytest.mark.parametrize(
    ("dim", "window", "softcap", "dtype"),
    [
        (256, None, 50.0, torch.bfloat16),
        (256, 64, 50.0, torch.bfloat16),
        (256, None, 50.0, torch.float16),
        (128, None, None, torch.bfloat16),
        (64, 64, None, torch.float16),
    ],
)
def test_attention_is_near_float64(dim: int, window: int | None, softcap: float | None, dtype: torch.dtype) -> None:
    item = forest(dim)
    layout = PackLayout(item, CUDA)
    tokens = len(item.input_ids)
    torch.manual_seed(0)
    make = lambda heads: torch.randn(1, heads, tokens, dim, device=CUDA)  # noqa: E731
    query, key, value, upstream = make(4), make(2), make(2), torch.randn(1, tokens, 4, dim, device=CUDA)

    def run(dtype: torch.dtype, kernels: bool) -> list[torch.Tensor]:
        inputs = [t.detach().to(dtype, copy=True).requires_grad_() for t in (query, key, value)]
        if kernels:
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

    tolerance = {torch.bfloat16: 1e-2, torch.float16: 2e-3}[dtype]
    first, second = run(dtype, kernels=True), run(dtype, kernels=True)
    for got, again, wanted in zip(first, second, run(torch.float64, kernels=False), strict=True):
        assert ((got.double() - wanted).norm() / wanted.norm()).item() < tolerance
        assert torch.equal(got, again)  # every sum in a fixed order


def adapted(name: str, dtype: torch.dtype, *, fp8: bool = False) -> Any:
    """A small classifier of bfloat16's numbers, held in `dtype` or in FP8, with LoRA."""
    _, base = make_pair(name, **LARGER)
    for parameter in base.parameters():
        parameter.data = (parameter.data / 6).to(torch.bfloat16).to(dtype)
    base.score.float()
    if fp8:
        quantize_to_fp8(base, CUDA, skip="score")
    model = add_adapter(base, lora_config(r=8, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"))
    torch.manual_seed(1)
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.02)
    return model.to(CUDA).train()


def results(model: Any, dtype: torch.dtype) -> list[torch.Tensor]:
    """Logits and gradients of a pack."""
    model.zero_grad()
    logits = pack_logits(model, forest(3), dtype)
    (logits * torch.linspace(-1, 1, logits.numel(), device=CUDA).view_as(logits)).sum().backward()
    gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
    return [logits.detach(), gradients]


@pytest.mark.parametrize("name", ["gemma2", "llama", "qwen2-window", "mistral"])
def test_hand_made_layers_are_as_near_to_the_truth_as_transformers(name: str) -> None:
    truth = results(adapted(name, torch.float32), torch.float32)
    model = adapted(name, torch.bfloat16)
    theirs = results(model, torch.bfloat16)
    assert use_fused_layers(model, torch.bfloat16)
    ours = results(model, torch.bfloat16)
    layer_stack(model).checkpoint(99)
    again = results(model, torch.bfloat16)
    for true, their, our, checkpointed in zip(truth, theirs, ours, again, strict=True):
        error = lambda got: ((got - true).norm() / true.norm()).item()  # noqa: B023, E731
        assert error(our) < max(1.25 * error(their), 0.005)
        assert torch.equal(our, checkpointed)


def test_packed_bf16_logits_are_within_bf16_noise_of_eager_float32() -> None:
    eager, packed = make_pair("gemma2")
    ids = [np.random.default_rng(i).integers(1, 97, size=20 + 13 * i).astype(np.int32) for i in range(9)]
    with torch.no_grad():
        wanted = padded_logits(eager, ids)
    packed.to(CUDA)
    use_fused_layers(packed.requires_grad_(False), torch.bfloat16)
    [item] = pack(ids, tokens_per_pass=10_000)
    got = pack_logits(packed, item, torch.bfloat16)[np.argsort(item.sequences)].float().cpu()
    assert (got - wanted).norm() / wanted.norm() < 0.03


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_four_bits_come_back_as_bitsandbytes_brings_them(dtype: torch.dtype) -> None:
    from tiebreak.models.kernels.nf4 import FourBitMatrix

    weight = torch.nn.Parameter(torch.empty(0), requires_grad=False)
    data, state = quantize_4bit(torch.randn(512, 768, device=CUDA, dtype=dtype), quant_type="nf4",
                                compress_statistics=True)  # fmt: skip
    weight.data, weight.quant_state = data, state
    matrix = FourBitMatrix.of(weight)
    assert torch.equal(matrix.dequantize(dtype), dequantize_4bit(data, state))


@pytest.mark.skipif(not torch.cuda.is_available() or not supports_fp8(CUDA), reason="no FP8 products here")
def test_fp8() -> None:
    from tiebreak.models.fp8 import quantize_rows
    from tiebreak.models.kernels.fp8 import rows_to_fp8

    torch.manual_seed(0)
    x = torch.randn(300, 1024, device=CUDA, dtype=torch.bfloat16) * torch.logspace(-4, 4, 300, device=CUDA)[:, None]
    values, scale = rows_to_fp8(x)
    large = x.abs() > 0.02 * x.abs().amax(1, keepdim=True)
    relative = ((values.float() * scale - x.float()) / x.float()).abs()[large]
    assert relative.max() <= 1 / 16 * 1.01
    assert (values.float() != quantize_rows(x)[0].float()).float().mean() < 0.01
    truth = results(adapted("gemma2", torch.float32), torch.float32)
    model = adapted("gemma2", torch.bfloat16, fp8=True)
    theirs = results(model, torch.bfloat16)  # FP8 products between transformers' own layers
    assert use_fused_layers(model, torch.bfloat16)
    for our, their, true in zip(results(model, torch.bfloat16), theirs, truth, strict=True):
        error = lambda got: ((got - true).norm() / true.norm()).item()  # noqa: B023, E731
        assert error(our) < 1.1 * error(their) < 0.5


def test_a_hundred_steps_follow_the_curve_of_transformers() -> None:
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 97, size=int(rng.integers(20, 120))).astype(np.int32) for _ in range(64)]
    labels = torch.tensor([int(s[0]) % 3 for s in sequences], device=CUDA)

    def curve(fused: bool) -> list[float]:
        model = adapted("gemma2", torch.bfloat16)
        assert not fused or use_fused_layers(model, torch.bfloat16)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        losses = []
        for step in range(100):
            rows = [(8 * step + i) % 64 for i in range(8)]
            [item] = pack([sequences[i] for i in rows], tokens_per_pass=4000)
            targets = labels[torch.tensor(rows, device=CUDA)[torch.from_numpy(item.sequences).to(CUDA)]]
            loss = cross_entropy(pack_logits(model, item, torch.bfloat16), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    theirs, ours = np.array(curve(False)), np.array(curve(True))
    assert theirs[-10:].mean() < 0.7 * theirs[:10].mean()  # something was learned
    assert np.abs(theirs - ours).mean() < 0.05 * theirs.mean()


def test_answers_that_share_their_prompt_are_scored_as_alone() -> None:
    """Eight answers below one prompt, and one answer a pass, through the kernels: the same but for rounding."""
    _, model = make_pair("gemma2", num_labels=1)
    rng = np.random.default_rng(0)
    prompt = rng.integers(1, 97, size=300)
    texts = [np.concatenate([prompt, rng.integers(1, 97, size=9 + 40 * i)]).astype(np.int32) for i in range(8)]
    with torch.no_grad():
        truth = torch.cat([pack_logits(model, *pack([ids], tokens_per_pass=1000), torch.float32) for ids in texts])
    model.to(CUDA)
    assert use_fused_layers(model.requires_grad_(False), torch.bfloat16)
    [item] = pack(texts, tokens_per_pass=4000, groups=[0] * 8, together=True)
    shared = pack_logits(model, item, torch.bfloat16)[np.argsort(item.sequences)].cpu()
    alone = torch.cat([pack_logits(model, *pack([ids], tokens_per_pass=1000), torch.bfloat16).cpu() for ids in texts])
    assert (shared - truth).norm() / truth.norm() < 0.03
    assert (shared - alone).norm() / alone.norm() < 0.02
