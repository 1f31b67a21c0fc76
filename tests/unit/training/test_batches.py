from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.text.cases import comparisons
from tiebreak.comparison import Comparison
from tiebreak.model import load_tokenizer
from tiebreak.text import SEED_TEMPLATE, Encoder
from tiebreak.training import make_examples


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
    with pytest.raises(ValueError, match="comparison seven has no vote"):
        make_examples(rows, encoder, both_orders=both_orders)
