"""The weight of a comparison, and the effective number of weighted rows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tiebreak.errors import ComparisonsError
from tiebreak.types import A_WINS, B_WINS, Comparison
from tiebreak.weights import effective_rows, row_weights, summarise_weights, validate_weights

ROW = Comparison(("S\n\np",), ("a",), ("b",), A_WINS, system="S", weight=2.5)


def test_changed_comparisons_keep_their_weight() -> None:
    assert Comparison(("p",), ("a",), ("b",)).weight == 1.0
    assert ROW.swap() == Comparison(("S\n\np",), ("b",), ("a",), B_WINS, system="S", weight=2.5)
    changed = (ROW.without_system(), ROW.close_with("q", "c", "d"), ROW.map_texts(str.upper), *ROW.orders)
    assert [row.weight for row in changed] == [2.5] * 5


@pytest.mark.parametrize("weight", [-0.5, math.nan, math.inf])
def test_a_comparison_has_a_finite_weight_of_at_least_0(weight: float) -> None:
    with pytest.raises(ValueError, match=f"the weight of a comparison is a finite number of at least 0: got {weight}"):
        replace(ROW, weight=weight)
    assert replace(ROW, weight=0.0).weight == 0


def test_effective_rows_are_kish_s() -> None:
    assert effective_rows(np.full(7, 0.1)) == pytest.approx(7)
    assert effective_rows(np.array([1.0, 2.0, 3.0])) == pytest.approx(36 / 14)
    assert effective_rows(np.array([5.0, 0.0, 0.0])) == 1
    assert effective_rows(np.array([1e-200, 2e-200, 3e-200])) == pytest.approx(36 / 14)
    assert effective_rows(np.zeros(3)) == 0
    summary = summarise_weights(np.array([1.0, 2.0, 3.0]))
    assert str(summary) == "weights sum to 6 and count as 2.6 rows of equal weight"


def test_weights_of_1_are_none() -> None:
    assert row_weights([replace(ROW, weight=1.0)] * 3) is None
    assert validate_weights(np.ones(3), 3) is None
    np.testing.assert_array_equal(row_weights([ROW, replace(ROW, weight=0.0)]), [2.5, 0.0])


def test_weights_that_cannot_be_used_are_named() -> None:
    for weights, message in (
        ([1.0, -2.0], "The weight of row 1 is -2: give finite weights of at least 0"),
        ([math.nan, 2.0], "The weight of row 0 is nan"),
        ([1.0], r"The weights have the shape \(1,\) for 2 rows: give one weight per row"),
    ):
        with pytest.raises(ComparisonsError, match=message):
            validate_weights(weights, 2)
    with pytest.raises(ComparisonsError, match=r"The weight of row 1 is 0: .* leave out rows of weight 0"):
        validate_weights([1.0, 0.0], 2, positive=True)
