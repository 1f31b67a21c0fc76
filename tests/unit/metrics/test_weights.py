"""Weighted metrics: a row of weight k counts as k rows, and intervals allow for unequal weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tiebreak.errors import ComparisonsError
from tiebreak.metrics import GroupedRows, evaluate, preference_metrics, slice_metrics
from tiebreak.metrics.binomial import binomial_limits
from tiebreak.runs import Orders
from tiebreak.types import Comparison
from tiebreak.workflows.comparison import compare_judges
from tiebreak.workflows.evaluate import measure

ROWS = 240


def judged(seed: int, *, soft: bool = False) -> tuple[np.ndarray, np.ndarray, list[Comparison]]:
    """Probabilities of two judges, [rows, 3] each, and comparisons with votes."""
    draw = np.random.default_rng(seed)
    p, q = draw.dirichlet([1.5, 1.5, 1.0], (2, ROWS))
    votes = draw.dirichlet([1, 1, 1], ROWS) if soft else np.eye(3)[draw.integers(0, 3, ROWS)]
    comparisons = [
        Comparison(
            (f"prompt {draw.integers(60)}",),
            ("a " * int(draw.integers(1, 40)) + "\n- x" * int(draw.integers(2)),),
            ("b " * int(draw.integers(1, 40)),),
            (vote[0], vote[1], vote[2]),
            tags=(("source", str(draw.integers(2))),),
        )
        for vote in votes
    ]
    return p, q, comparisons


def measured(p: np.ndarray, q: np.ndarray, rows: list[Comparison], weights: np.ndarray | None) -> dict[str, Any]:
    votes = [row.required_vote() for row in rows]
    found = measure(p, votes, rows, Orders(p, q), weights).to_dict()
    del found["breakdown"]  # slices by length are quarters of the rows
    slices = slice_metrics(p, rows, weights=weights)
    found["slices"] = [part.to_dict() for part in slices if part.by == "source"]
    groups = [row.folded_prompt for row in rows]
    found["judges"] = [one.to_dict() for one in compare_judges(p, votes, {"other": q}, groups, weights)]
    found["preference"] = preference_metrics(p, votes, weights)
    return found


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: leaf for key, item in items for name, leaf in flatten(item, f"{path}/{key}").items()}
    return {path: value}


SAMPLED = ("rows", "low", "high", "observed_low", "observed_high", "weight", "weights", "sum", "effective_rows", "ties")
"""Numbers of rows, and ends of intervals, which depend on them."""


@pytest.mark.parametrize("soft", [False, True])
def test_a_row_of_weight_k_counts_as_k_rows(soft: bool) -> None:
    p, q, rows = judged(3, soft=soft)
    k = np.random.default_rng(4).integers(1, 5, ROWS)
    copied = np.repeat(np.arange(ROWS), k)
    weighted = flatten(measured(p, q, rows, k.astype(float)))
    copies = flatten(measured(p[copied], q[copied], [rows[i] for i in copied], None))
    values = [name for name in copies if name.rsplit("/", 1)[-1] not in SAMPLED and "expected_if_c" not in name]
    assert len(values) > 300
    assert {name.split("/")[1] for name in values} >= {"evaluation", "bias", "slices", "judges", "preference"}
    for name in values:
        if copies[name] is None or isinstance(copies[name], str | bool):
            assert weighted[name] == copies[name], name
        else:
            assert weighted[name] == pytest.approx(copies[name], rel=1e-6, abs=1e-8), name
    # Rows of a prompt are one group, so copies add nothing that weights do not: the ends of intervals are close.
    ends = [name for name in copies if name.endswith(("low", "high")) and copies[name] is not None]
    assert len(ends) > 100
    for name in ends:
        if "expected" not in name and "observed" not in name:
            assert weighted[name] == pytest.approx(copies[name], abs=0.03), name


@pytest.mark.parametrize("soft", [False, True])
def test_weights_of_1_change_no_digit(soft: bool) -> None:
    p, q, rows = judged(5, soft=soft)
    assert repr(measured(p, q, rows, np.ones(ROWS))) == repr(measured(p, q, rows, None))


def test_equal_weights_change_no_metric_and_no_interval() -> None:
    p, q, rows = judged(6)
    plain, weighted = (flatten(measured(p, q, rows, w)) for w in (None, np.full(ROWS, 0.01)))
    compared = 0
    for name, value in plain.items():
        if name.startswith(("/evaluation/metrics", "/judges", "/slices")) and isinstance(value, float):
            assert weighted[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
            compared += 1
    assert compared > 80


def test_rows_of_weight_0_do_not_count() -> None:
    p, q, rows = judged(7)
    weights = np.random.default_rng(8).choice([0.0, 0.5, 2.0], ROWS)
    kept = np.flatnonzero(weights)
    every = measure(p, [row.required_vote() for row in rows], rows, Orders(p, q), weights)
    some = [rows[i] for i in kept]
    without = measure(p[kept], [row.required_vote() for row in some], some, Orders(p[kept], q[kept]), weights[kept])
    assert repr(every.to_dict()) == repr(without.to_dict())
    assert every.evaluation.rows == len(kept) < ROWS
    votes = [row.required_vote() for row in rows]
    assert preference_metrics(p, votes, weights)["loss"] == pytest.approx(every.metrics["loss"].value)
    for call in (
        lambda: measure(p, votes, rows, None, np.zeros(ROWS)),
        lambda: preference_metrics(p, votes, [0] * ROWS),
    ):
        with pytest.raises(ComparisonsError, match="All rows have weight 0"):
            call()
    with pytest.raises(ComparisonsError, match=r"The weight of row \d+ is 0"):
        evaluate(p, votes, weights=weights)


def test_weights_are_in_the_json() -> None:
    p, _, rows = judged(9)
    weights = np.r_[np.full(ROWS // 2, 1.0), np.full(ROWS // 2, 3.0)]
    found = measure(p, [row.required_vote() for row in rows], rows, weights=weights).to_dict()
    size = {"sum": pytest.approx(2 * ROWS), "effective_rows": pytest.approx((2 * ROWS) ** 2 / (5 * ROWS))}
    assert found["weights"] == found["evaluation"]["weights"] == size
    assert np.sum(found["evaluation"]["confusion"]["voted_by_judged"]) == pytest.approx(2 * ROWS)
    curve = found["evaluation"]["reliability"][0]
    assert sum(one["weight"] for one in curve["bins"]) == pytest.approx(2 * ROWS)
    unweighted = measure(p, [row.required_vote() for row in rows], rows).to_dict()
    assert unweighted["weights"] is None
    heavy = [replace(row, weight=7.0) for row in rows]  # `measure` does not read them
    assert repr(measure(p, [row.required_vote() for row in rows], heavy).to_dict()) == repr(unweighted)


def test_a_share_of_independent_rows_has_the_binomial_interval_of_kish_s_sample_size() -> None:
    draw = np.random.default_rng(10)
    weights = draw.lognormal(0, 1, 300)
    right = np.zeros((300, 1))  # all wrong: the design effect of independent rows is 1
    [wrong] = GroupedRows(300, weights=weights).proportions(right)
    size = weights.sum() ** 2 / (weights**2).sum()
    [[_], [high]] = binomial_limits(np.zeros(1), np.array([size]), 0.95)
    assert (wrong.value, wrong.low, wrong.high) == (0.0, 0.0, pytest.approx(high, rel=1e-6))
    assert 60 < size < 200


@pytest.mark.parametrize(("rows_per_group", "share"), [(1, 0.9), (4, 0.8)])
def test_intervals_of_weighted_rows_cover_the_truth(rows_per_group: int, share: float) -> None:
    draw = np.random.default_rng(11)
    groups = np.repeat(np.arange(160 // rows_per_group), rows_per_group)
    keys = [f"{group:03d}" for group in groups]
    hits = np.zeros(2)
    samples = 600
    for _ in range(samples):
        rate = share if rows_per_group == 1 else draw.beta(share * 8, (1 - share) * 8, len(groups))[groups]
        right = draw.random(len(groups)) < rate
        grouped = GroupedRows(len(groups), keys, weights=draw.lognormal(0, 0.8, len(groups)))
        [accuracy] = grouped.proportions(right[:, None])
        [loss] = grouped.means(np.where(right, 0.05, 3.0)[:, None], rare=[[0.05], [3.0]])
        expected = share * 0.05 + (1 - share) * 3.0
        hits += accuracy.low <= share <= accuracy.high, loss.low <= expected <= loss.high
    assert (hits / samples > 0.92).all()
    assert (hits / samples < 0.99).all()
