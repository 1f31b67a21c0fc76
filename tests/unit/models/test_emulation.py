"""What a device only emulates is said."""

from __future__ import annotations

import pytest
import torch

from tiebreak.models import emulation_note
from tiebreak.recipe import load_recipe
from tiebreak.training.model_setup import prepare_model


@pytest.mark.parametrize(
    ("precision", "dtype", "device", "capability", "note"),
    [
        ("fp8", torch.float32, "cpu", (0, 0), "The CPU has no FP8 products"),
        ("nf4", torch.float32, "cpu", (0, 0), None),
        ("bf16", torch.bfloat16, "cpu", (0, 0), None),
        ("fp8", torch.bfloat16, "cuda", (9, 0), None),
        ("bf16", torch.bfloat16, "cuda", (8, 0), None),
        ("nf4", torch.bfloat16, "cuda", (7, 5), "Tesla T4 emulates bfloat16"),
        ("nf4", torch.float16, "cuda", (7, 5), None),
    ],
)
def test_notes(
    precision: str, dtype: torch.dtype, device: str, capability: tuple[int, int], note: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    got = emulation_note(precision, dtype, torch.device(device))  # type: ignore[arg-type]
    assert (got is None) == (note is None)
    assert note is None or (got is not None and got.startswith(note))


def test_training_says_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = load_recipe("demo", ["model.name=nano", "model.precision=fp8"])
    log: list[str] = []
    prepare_model(recipe, [], torch.float32, log.append)
    assert [line.startswith("The CPU has no FP8 products") for line in log] == [False, True]
