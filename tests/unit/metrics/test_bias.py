"""Biases put into simulated judges, and found again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from tiebreak.errors import ComparisonsError
from tiebreak.metrics import answer_lengths, format_bias, format_counts, length_bias, position_bias
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison


def softmax(*logits: Any) -> np.ndarray:
    powers = np.exp(np.stack(np.broadcast_arrays(*logits), axis=1))
    return powers / powers.sum(axis=1, keepdims=True)


def drawn(p: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.eye(3)[(np.random.default_rng(seed).random(len(p))[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)]


def test_position_bias_by_hand() -> None:
    as_given = [(0.6, 0.3, 0.1), (0.5, 0.4, 0.1), (0.2, 0.1, 0.7)]
    swapped = [(0.3, 0.6, 0.1), (0.7, 0.2, 0.1), (0.2, 0.1, 0.7)]
    found = position_bias(as_given, swapped, [A_WINS, A_WINS, TIE])
    assert found.swap_gap.value == pytest.approx((0.3 + 0.2 + 0) / 3)
    assert found.total_variation.value == pytest.approx((0.3 + 0.2 + 0) / 3)
    assert found.first_slot_gain.value == pytest.approx((0.3 - 0.2 + 0) / 3)
    assert (found.flip_rate.value, found.agreement.value) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert found.first_twice.value == pytest.approx(1 / 3)
    assert found.second_twice.value == 0
    # A first in rows 0 and 1 as given, B first in row 0 and A second in row 1 swapped; row 2 is a tie twice.
    assert found.first_slot_share.value == pytest.approx(3 / 4)
    assert found.first_slot_wins.value == pytest.approx(3 / 6)
    assert found.accuracy["as_given"].value == 1
    assert found.accuracy["swapped"].value == pytest.approx(2 / 3)
    assert found.loss["average"].value == pytest.approx(-np.log([0.45, 0.6, 0.7]).mean())
    json.dumps(found.to_dict(), allow_nan=False)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_a_judge_blind_to_the_order_has_no_position_bias_and_sides_do_not_matter(seed: int) -> None:
    draw = np.random.default_rng(seed)
    p, q, votes = draw.dirichlet([1, 1, 1], (3, 20))
    blind = position_bias(p, p, votes)
    assert blind.agreement.value == 1
    assert blind.swap_gap.value == blind.flip_rate.value == blind.first_slot_gain.value == 0
    found = position_bias(p, q, votes)
    # Name the answers the other way round: B comes first now as given.
    other = position_bias(q[:, [1, 0, 2]], p[:, [1, 0, 2]], votes[:, [1, 0, 2]])
    for name in ("total_variation", "first_slot_gain", "flip_rate", "first_slot_share", "first_twice"):
        assert getattr(other, name).value == pytest.approx(getattr(found, name).value, nan_ok=True)


def test_a_length_bias_beyond_the_people_s_is_found() -> None:
    draw = np.random.default_rng(1)
    a, b = draw.integers(50, 2000, size=(2, 3000))
    t = (a - b) / (a + b)
    people = softmax(0.2 + 0.5 * t, -0.5 * t, -0.3 * np.abs(t))
    judge = softmax(0.2 + 1.5 * t, -1.5 * t, -0.3 * np.abs(t))
    found = length_bias(judge, drawn(people), a, b)
    assert found.slope["judge"].value == pytest.approx(1.5, abs=1e-3)
    assert found.slope["people"].low < 0.5 < found.slope["people"].high
    assert found.slope["excess"].low < 1.0 < found.slope["excess"].high
    assert found.longer.excess.low > 0.1
    assert found.longer.excess.value == pytest.approx(found.longer.judge.value - found.longer.people.value)
    # At equal lengths judge and people are of one mind.
    even = softmax(np.array([0.2]), np.array([0.0]), np.array([0.0]))[0]
    np.testing.assert_allclose([e.value for e in found.controlled["judge"].values()], even, atol=1e-3)
    assert found.controlled_win_rate["judge"].value == pytest.approx(even[0] + even[2] / 2, abs=1e-3)
    assert found.controlled_win_rate["people"].low < even[0] + even[2] / 2 < found.controlled_win_rate["people"].high
    rates = [b.judge.value for b in found.bins]
    assert rates == sorted(rates)
    assert sum(b.rows for b in found.bins) == found.longer.rows == (a != b).sum()
    assert found.correlation["judge"].value == pytest.approx(pearsonr(t, judge[:, 0] - judge[:, 1]).statistic)
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_interval_of_a_slope_is_that_of_fits_on_drawn_rows() -> None:
    """The sandwich variance against the spread of fits to resampled rows."""
    draw = np.random.default_rng(2)
    a, b = draw.integers(50, 2000, size=(2, 300))
    votes = drawn(softmax(0.8 * (a - b) / (a + b), -0.8 * (a - b) / (a + b), np.zeros(300)), 3)
    interval = length_bias(votes * 0.97 + 0.01, votes, a, b).slope["people"]
    refits = []
    for _ in range(150):
        rows = draw.integers(300, size=300)
        again = length_bias(votes[rows] * 0.97 + 0.01, votes[rows], a[rows], b[rows])
        refits.append(again.slope["people"].value)
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * np.std(refits), rel=0.25)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_exchanging_the_sides_leaves_length_bias_and_turns_what_is_of_a(seed: int) -> None:
    draw = np.random.default_rng(seed)
    p, votes = draw.dirichlet([1, 1, 1], (2, 25))
    a, b = draw.integers(0, 30, size=(2, 25))
    found = length_bias(p, votes, a, b)
    other = length_bias(p[:, [1, 0, 2]], votes[:, [1, 0, 2]], b, a)
    for which in ("judge", "people", "excess"):
        assert getattr(other.longer, which).value == pytest.approx(getattr(found.longer, which).value)
        assert other.slope[which].value == pytest.approx(found.slope[which].value, abs=1e-6)
    assert other.controlled_win_rate["judge"].value == pytest.approx(1 - found.controlled_win_rate["judge"].value)
    assert other.correlation["people"].value == pytest.approx(found.correlation["people"].value, abs=1e-9)


def test_equal_lengths_and_perfect_separation_stay_finite() -> None:
    same = length_bias([(0.7, 0.2, 0.1)] * 4, [A_WINS] * 4, [5] * 4, [5] * 4)
    assert (same.bins, same.longer.rows) == ((), 0)
    assert same.to_dict()["longer"]["judge"]["value"] is None
    assert same.slope["judge"].value == 0
    parted = length_bias([(1, 0, 0), (0, 1, 0)], [A_WINS, B_WINS], [10, 1], [1, 10])
    assert np.isfinite(parted.slope["people"].value)
    assert parted.longer.people.value == 1


def test_formats_are_counted_and_their_excess_is_the_judge_s_less_the_people_s() -> None:
    rich = "# Title\n- one\n* two\n3. three\n```python\nx\n```\n**bold** and **bolder**"
    rows = [
        Comparison(("p",), (rich,), ("plain",)),
        Comparison(("p",), ("plain",), ("- only a list",)),
        Comparison(("p", "q"), (rich, "plain"), (rich, "**x**")),  # the first reply is their shared history
        Comparison(("p",), ("2 * 3 - 1",), ("#hashtag, * not bold **",)),
    ]
    counts = format_counts(rows)
    assert {name: a[0] for name, (a, _) in counts.items()} == {"lists": 3, "code": 2, "bold": 2, "headings": 1}
    assert counts["lists"] == ([3, 0, 0, 0], [0, 1, 0, 0])
    assert counts["bold"] == ([2, 0, 0, 0], [0, 0, 1, 0])
    assert answer_lengths(rows)[0][2] == len("plain")
    said = [(0.8, 0.1, 0.1), (0.1, 0.7, 0.2), (0.3, 0.3, 0.4), (0.2, 0.2, 0.6)]
    found = format_bias(said, [A_WINS, A_WINS, TIE, TIE], counts)
    assert found["lists"].rows == 2
    assert found["lists"].judge.value == pytest.approx((0.85 + 0.8) / 2)
    assert found["lists"].people.value == pytest.approx(0.5)
    assert found["lists"].excess.value == pytest.approx(0.325)
    assert "headings" in found
    assert format_bias(said[3:], [TIE], {"code": ([1], [1])}) == {}


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (([1.0], [1.0, 2.0]), "for 2 rows"),
        (([1, -1], [1, 1]), "row 1: -1.0 and 1.0"),
        (([1, 1], [1, np.nan]), "nan"),
    ],
)
def test_impossible_lengths_are_refused(lengths: Any, message: str) -> None:
    with pytest.raises(ComparisonsError, match=message):
        length_bias([(0.2, 0.3, 0.5)] * 2, [TIE] * 2, *lengths)
    with pytest.raises(ComparisonsError, match="not finite"):
        position_bias([(0.2, 0.3, 0.5)], [(np.nan, 0.5, 0.5)], [TIE])
