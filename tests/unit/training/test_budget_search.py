"""What goes through at once: the choice among what fits, and what a CPU gets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.conftest import make_pair
from tiebreak.training.budget_search import Budget, MemoryLine, choose_budget, search_budget

GIB = 2.0**30
# About a 9B base in 4 bits: 6 GiB, and a layer's activations of 110 kB a token or its input of 7 kB.
KEPT = MemoryLine(6.2 * GIB, 42 * 110e3)
CHECKPOINTED = MemoryLine(6.2 * GIB, 42 * 7e3 + 350e3)


def choose(usable: float, **changes: Any) -> Budget:
    given: dict[str, Any] = {"kept": KEPT, "checkpointed": CHECKPOINTED, "layers": 42, "least": 2000, "most": 16000,
                             "tokens": "auto", "checkpointing": "auto", "partial": True}  # fmt: skip
    return choose_budget(usable=usable * GIB, **given | changes)


def test_with_room_for_all_nothing_is_checkpointed_and_a_step_is_one_pass() -> None:
    assert choose(130) == Budget(16000, 0)


def test_with_less_room_passes_get_smaller_and_some_layers_are_checkpointed() -> None:
    middling, tight = choose(40), choose(13)
    assert 5000 < middling.tokens < 16000
    assert middling.checkpointed < 10
    assert 0 < tight.checkpointed < 42


def test_what_the_recipe_says_is_kept() -> None:
    assert choose(130, tokens=3000).tokens == 3000
    assert choose(130, checkpointing=True).checkpointed == 42
    assert choose(20, checkpointing=False).checkpointed == 0
    assert choose(13, partial=False).checkpointed in (0, 42)


def test_where_nothing_fits_the_least_is_tried() -> None:
    assert choose(3) == Budget(2000, 42)
    assert choose(9, kept=None).checkpointed == 42


@given(usable=st.floats(7, 200), least=st.integers(32, 4000), most=st.integers(32, 60_000), layers=st.integers(1, 80))
def test_whatever_is_chosen_fits_if_anything_does(usable: float, least: int, most: int, layers: int) -> None:
    budget = choose(usable, least=least, most=most, layers=layers)
    share = budget.checkpointed / layers
    fixed, rate = (share * c + (1 - share) * k for c, k in zip(CHECKPOINTED, KEPT, strict=True))
    assert least <= budget.tokens <= max(least, 16384)
    anything = CHECKPOINTED.fixed + least * CHECKPOINTED.rate <= usable * GIB
    assert not anything or fixed + budget.tokens * rate <= usable * GIB * (1 + 1e-9)


@pytest.mark.parametrize("wanted", [True, False, "auto"])
def test_a_cpu_takes_what_the_recipe_says(wanted: bool | str) -> None:
    _, model = make_pair("gemma2")
    log: list[str] = []
    budget = search_budget(model, torch.float32, least=40, most=90, tokens="auto", checkpointing=wanted, log=log.append)
    assert budget == Budget(8192, 4 if wanted is True else 0)
    assert [layer.gradient_checkpointing for layer in model.model.layers] == [wanted is True] * 4
    assert log == []
