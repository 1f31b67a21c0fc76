"""Weighted fits of the baselines."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sklearn.linear_model

from tiebreak.baselines import fit_baseline, load_baseline, save_baseline
from tiebreak.errors import DataError

from .test_baselines import KINDS, SMALL, simulated

NEW = simulated(40, seed=9)


@pytest.mark.parametrize(("kind", "tolerance"), [("prior", 1e-12), ("length", 1e-5)])
def test_a_weight_of_k_equals_k_copies(kind: str, tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = partial(sklearn.linear_model.LogisticRegression, tol=1e-9)  # the default stops within 0.001 of the optimum
    monkeypatch.setattr(sklearn.linear_model, "LogisticRegression", exact)
    votes, counts = simulated(150), np.random.default_rng(1).integers(1, 4, 150).tolist()
    weighted = fit_baseline(kind, [replace(v, weight=float(k)) for v, k in zip(votes, counts, strict=True)], **SMALL)
    copies = fit_baseline(kind, [v for v, k in zip(votes, counts, strict=True) for _ in range(k)], **SMALL)
    plain = fit_baseline(kind, votes, **SMALL)
    np.testing.assert_allclose(weighted.probabilities(NEW), copies.probabilities(NEW), atol=tolerance)
    assert np.abs(weighted.probabilities(NEW) - plain.probabilities(NEW)).max() > 100 * tolerance
    assert (weighted.vote_count, weighted.vote_weight, copies.vote_weight) == (150, sum(counts), None)


@pytest.mark.parametrize("kind", ["tfidf", "trees"])
def test_a_regression_and_trees_follow_the_weights(kind: str) -> None:
    """The longer answer wins or loses in the same rows; the heavier votes decide."""
    votes = [row for v in simulated(150) for row in (v, replace(v.swap(), answer_a=v.answer_a, answer_b=v.answer_b))]
    settings = {**SMALL, "stacked": False}
    longer = np.array([len(row.answer_a[0]) > len(row.answer_b[0]) for row in NEW])
    for heavy, light in ((5.0, 0.2), (0.2, 5.0)):
        judge = fit_baseline(
            kind, [replace(row, weight=light if i % 2 else heavy) for i, row in enumerate(votes)], **settings
        )
        p = judge.probabilities(NEW)
        agreement = ((p[:, 0] > p[:, 1]) == longer).mean()
        assert agreement > 0.8 if heavy > light else agreement < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_1_change_no_digit_and_rows_of_weight_0_nothing(kind: str, tmp_path: Path) -> None:
    votes = simulated(120)
    plain = fit_baseline(kind, votes, **SMALL)
    with_others = fit_baseline(kind, [replace(v, weight=0.0) for v in simulated(30, seed=5)] + votes, **SMALL)
    assert plain.state().keys() == with_others.state().keys()
    for name, array in plain.state().items():
        np.testing.assert_array_equal(array, with_others.state()[name])
    weighted = fit_baseline(kind, [replace(v, weight=0.5) for v in votes], **SMALL)
    save_baseline(tmp_path / "model", weighted, SMALL | {"log": None}, None)
    loaded = load_baseline(tmp_path / "model").baseline
    assert (loaded.vote_count, loaded.vote_weight) == (120, 60.0)
    np.testing.assert_array_equal(loaded.probabilities(NEW), weighted.probabilities(NEW))
    with pytest.raises(DataError, match="All 120 comparisons have weight 0"):
        fit_baseline(kind, [replace(v, weight=0.0) for v in votes], **SMALL)
