"""Packed logits and gradients against padded, eager Hugging Face ones, in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.unit.models.conftest import Pair, make_pair, padded_logits
from tiebreak.models import TokenBudget, pack_logits, predict_logits
from tiebreak.text import pack

LENGTHS = (23, 5, 17, 1, 40, 12, 8)


def sequences(seed: int = 0, lengths: tuple[int, ...] = LENGTHS) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 97, size=n).astype(np.int32) for n in lengths]


def packed_logits(model: torch.nn.Module, ids: list[np.ndarray], tokens_per_pass: int, groups=None) -> torch.Tensor:
    out = torch.empty(len(ids), 3)
    for item in pack(ids, tokens_per_pass=tokens_per_pass, groups=groups):
        out = out.index_put((torch.as_tensor(item.sequences),), pack_logits(model, item, torch.float32))
    return out


@pytest.mark.parametrize("tokens_per_pass", [40, 64, 1000])
def test_packed_logits_equal_padded_eager_ones(eager_and_packed: Pair, tokens_per_pass: int) -> None:
    eager, packed = eager_and_packed
    ids = sequences()
    with torch.no_grad():
        wanted = padded_logits(eager, ids)
        got = packed_logits(packed, ids, tokens_per_pass)
    assert wanted.std() > 0.1  # the models say something
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def test_logits_with_a_shared_prefix_equal_separate_sequences(eager_and_packed: Pair) -> None:
    eager, packed = eager_and_packed
    rng = np.random.default_rng(1)
    ids, groups = [], []
    for group in range(4):
        prefix = rng.integers(1, 97, size=20).astype(np.int32)
        for length in (9, 3, 14)[: 2 + group % 2]:
            ids.append(np.concatenate([prefix, rng.integers(1, 97, size=length).astype(np.int32)]))
            groups.append(group)
    items = pack(ids, tokens_per_pass=200, groups=groups)
    assert sum(len(i.input_ids) for i in items) < sum(map(len, ids))  # something is shared
    with torch.no_grad():
        got = packed_logits(packed, ids, 200, groups)
        wanted = padded_logits(eager, ids)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("groups", [None, [0, 0, 1, 1, 2, 2, 3]], ids=["separate", "shared"])
def test_gradients_equal_padded_eager_ones(eager_and_packed: Pair, groups: list[int] | None) -> None:
    eager, packed = eager_and_packed
    ids = sequences()
    ids[1] = np.concatenate([ids[0][:11], ids[1]])
    ids[3] = np.concatenate([ids[2][:9], ids[3]])
    target = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    torch.nn.functional.cross_entropy(padded_logits(eager, ids), target).backward()
    torch.nn.functional.cross_entropy(packed_logits(packed, ids, 64, groups), target).backward()
    for (name, wanted), got in zip(eager.named_parameters(), packed.parameters(), strict=True):
        assert wanted.grad is not None, name
        assert got.grad is not None, name
        scale = wanted.grad.abs().max().clamp(min=1e-3)
        torch.testing.assert_close(
            got.grad / scale, wanted.grad / scale, atol=1e-4, rtol=0, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_reference_itself_does_not_depend_on_padding(side: str) -> None:
    eager, _ = make_pair("gemma2")
    ids = sequences()
    with torch.no_grad():
        alone = torch.cat([padded_logits(eager, [s]) for s in ids])
        torch.testing.assert_close(padded_logits(eager, ids, side), alone, atol=1e-5, rtol=1e-5)


def test_predictions_come_back_in_order_and_do_not_depend_on_neighbours() -> None:
    _, packed = make_pair("gemma2")
    ids = sequences(lengths=LENGTHS * 3)
    together = predict_logits(packed, ids, compute_dtype=torch.float32, budget=TokenBudget(64))
    alone = np.concatenate(
        [predict_logits(packed, [s], compute_dtype=torch.float32, budget=TokenBudget(64)) for s in ids]
    )
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert predict_logits(packed, [], compute_dtype=torch.float32, budget=TokenBudget(64)).shape == (0, 3)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    _, packed = make_pair("gemma2")
    ids = sequences()

    def gradients() -> list[torch.Tensor]:
        packed.zero_grad()
        packed_logits(packed, ids, 64).square().sum().backward()
        return [p.grad.clone() for p in packed.parameters()]

    packed.train()
    plain = gradients()
    packed.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for wanted, got in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(got, wanted)
