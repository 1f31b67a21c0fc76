from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.text.cases import comparisons
from tiebreak.models import load_tokenizer
from tiebreak.text import SEED_TEMPLATE, Encoder
from tiebreak.training import StepSampler, make_examples
from tiebreak.types import Comparison


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(load_tokenizer("nano"), SEED_TEMPLATE, 150)


@settings(max_examples=30, deadline=None)
@given(st.lists(comparisons(), max_size=4), st.booleans())
def test_examples_hold_each_order_as_if_it_were_encoded_alone(
    encoder: Encoder, rows: list[Comparison], both_orders: bool
) -> None:
    done: list[int] = []
    examples, encoded = make_examples(rows, encoder, both_orders=both_orders, on_progress=done.append)
    for row, example, given_order in zip(rows, examples, encoded, strict=True):
        orders = [row, row.swap()][: 1 + both_orders]
        assert [ids.tolist() for ids in example.sequences] == [encoder.encode([c])[0].ids.tolist() for c in orders]
        assert list(example.votes) == [c.vote for c in orders]
        assert given_order.ids.tolist() == example.sequences[0].tolist()
    assert sum(done) == len(rows) * (1 + both_orders)


@pytest.mark.parametrize("both_orders", [False, True])
def test_a_comparison_without_a_vote_is_named(encoder: Encoder, both_orders: bool) -> None:
    rows = [Comparison(("p",), ("a",), ("b",), (0.0, 0.0, 1.0)), Comparison(("p",), ("a",), ("b",), id="seven")]
    with pytest.raises(ValueError, match="comparison 'seven' has no vote"):
        make_examples(rows, encoder, both_orders=both_orders)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_which_rows_meet_in_a_step_is_decided_by_seed_and_epoch_alone(
    rows: int, batch_size: int, seed: int, epoch: int
) -> None:
    sampler, again, larger = (StepSampler(rows, batch_size=size, seed=seed) for size in (batch_size, batch_size, rows))
    list(again)  # what was drawn before does not matter
    sampler.epoch = again.epoch = larger.epoch = epoch
    steps = list(sampler)
    assert steps == list(again)
    assert len(steps) == len(sampler)
    assert [len(step) for step in steps[:-1]] == [batch_size] * (len(steps) - 1)
    assert [row for step in steps for row in step] == next(iter(larger))  # and no row twice, or never:
    assert sorted(next(iter(larger))) == list(range(rows))


def test_steps_change_with_seed_and_epoch() -> None:
    orders = set()
    for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1)):
        sampler = StepSampler(20, batch_size=20, seed=seed)
        sampler.epoch = epoch
        orders.add(tuple(next(iter(sampler))))
    assert len(orders) == 4
