"""Metrics against scikit-learn, intervals against simulation, and what cannot be measured."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss, roc_auc_score

from tiebreak.errors import ComparisonsError
from tiebreak.metrics import evaluate, slice_metrics
from tiebreak.metrics.calibration_curve import bin_probabilities
from tiebreak.types import A_WINS, B_WINS, OUTCOMES, TIE, Comparison, Tags


def simulated(seed: int, rows: int, *, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, one-hot votes drawn from them, and what a judge says that is too sure where temperature < 1."""
    draw = np.random.default_rng(seed)
    p = draw.dirichlet([1.5, 1.5, 1.0], rows)
    voted = (draw.random(rows)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    said = p ** (1 / temperature)
    return p, np.eye(3)[voted], said / said.sum(axis=1, keepdims=True)


def values(probabilities: Any, votes: Any, **options: Any) -> dict[str, float]:
    found = evaluate(probabilities, votes, resamples=2, **options)
    return {name: estimate.value for name, estimate in found.metrics.items()}


def test_metrics_are_scikit_learn_s() -> None:
    _, votes, said = simulated(0, 400, temperature=0.5)
    said = np.round(said, 2) + 0.01  # so that some are equal, and none 0, where the two would clip differently
    said /= said.sum(axis=1, keepdims=True)
    voted = votes.argmax(axis=1)
    found = evaluate(said, votes, resamples=2)
    metrics = {name: estimate.value for name, estimate in found.metrics.items()}
    assert metrics["loss"] == pytest.approx(log_loss(voted, said))
    assert metrics["accuracy"] == pytest.approx((said.argmax(axis=1) == voted).mean())
    assert metrics["brier"] == pytest.approx(((said - votes) ** 2).sum(axis=1).mean())
    assert metrics["brier"] == pytest.approx(
        sum(brier_score_loss(voted == i, said[:, i]) for i in range(3))
    )  # fmt: skip
    assert metrics["auc"] == pytest.approx(roc_auc_score(voted, said, multi_class="ovr", average="macro"))
    for i, outcome in enumerate(OUTCOMES):
        rows = voted == i
        assert metrics[f"auc_{outcome}"] == pytest.approx(roc_auc_score(rows, said[:, i]))
        assert metrics[f"loss_{outcome}"] == pytest.approx(log_loss(voted[rows], said[rows], labels=[0, 1, 2]))
        assert metrics[f"accuracy_{outcome}"] == pytest.approx((said.argmax(axis=1) == i)[rows].mean())
    np.testing.assert_array_equal(found.confusion, confusion_matrix(voted, said.argmax(axis=1)))
    assert not found.undefined


def test_calibration_error_by_hand() -> None:
    said = [(0.8, 0.1, 0.1)] * 4 + [(0.3, 0.6, 0.1)] * 2
    votes = [A_WINS, A_WINS, A_WINS, B_WINS, B_WINS, TIE]
    found = values(said, votes)
    assert found["ece"] == pytest.approx((4 * 0.05 + 2 * 0.1) / 6)
    assert found["ece_model_a"] == pytest.approx((4 * 0.05 + 2 * 0.3) / 6)
    assert found["ece_tie"] == pytest.approx(abs(0.1 - 1 / 6))
    by_outcome = [found[f"ece_{outcome}"] for outcome in OUTCOMES]
    assert found["ece_classwise"] == pytest.approx(np.mean(by_outcome))


def test_a_calibrated_judge_has_next_to_no_calibration_error_and_one_too_sure_has() -> None:
    p, votes, said = simulated(1, 40_000, temperature=0.5)
    right, wrong = values(p, votes), values(said, votes)
    for name in ("ece", "ece_equal_mass", "ece_classwise", *(f"ece_{o}" for o in OUTCOMES)):
        assert right[name] < 0.012, name
        assert wrong[name] > 0.05, name
    assert right["loss"] < wrong["loss"]


def test_reliability_curves_hold_every_row_once_and_give_the_error() -> None:
    p, votes, _ = simulated(2, 3000)
    found = evaluate(p, votes, resamples=50)
    assert [(c.of, c.binning) for c in found.curves[::4]] == [("top", "equal-width"), ("top", "equal-mass")]
    for curve in found.curves:
        assert sum(b.rows for b in curve.bins) == 3000
        for b in curve.bins:
            assert b.lower <= b.predicted <= b.upper + 1e-12
            assert b.observed_low is not None
            assert b.observed_high is not None
            assert 0 <= b.observed_low <= b.observed <= b.observed_high <= 1
    assert found.curves[0].error == pytest.approx(found.metrics["ece"].value)
    masses = [b.rows for b in found.curves[4].bins]
    assert max(masses) - min(masses) <= 1
    # scikit-learn's calibration_curve puts edges into the upper bin; between edges it is the same.
    from sklearn.calibration import calibration_curve

    observed, predicted = calibration_curve(votes[:, 0], p[:, 0], n_bins=15)
    np.testing.assert_allclose([b.observed for b in found.curves[1].bins], observed)
    np.testing.assert_allclose([b.predicted for b in found.curves[1].bins], predicted)


def test_equal_probabilities_are_never_parted() -> None:
    [only] = bin_probabilities("x", np.full(10, 0.3), np.arange(10) % 2.0, binning="equal-mass").curve().bins
    assert (only.rows, only.predicted, only.observed) == (10, pytest.approx(0.3), 0.5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_changes_nothing_nor_do_the_sides(seed: int) -> None:
    draw = np.random.default_rng(seed)
    rows = int(draw.integers(2, 40))
    p, votes = draw.dirichlet([1, 1, 1], rows), draw.dirichlet([0.3, 0.3, 0.3], rows)
    groups = [str(g) for g in draw.integers(rows, size=rows)]
    found = evaluate(p, votes, groups, resamples=20)
    order = draw.permutation(rows)
    again = evaluate(p[order], votes[order], [groups[i] for i in order], resamples=20)
    assert again.confusion == found.confusion
    assert again.metrics.keys() == found.metrics.keys()
    for name, estimate in found.metrics.items():
        other = again.metrics[name]
        np.testing.assert_allclose(
            (other.value, other.low, other.high), (estimate.value, estimate.low, estimate.high), atol=1e-9
        )
        assert np.isnan(estimate.low) or estimate.low <= estimate.value <= estimate.high
    turned = values(p[:, [1, 0, 2]], votes[:, [1, 0, 2]])
    for name in ("loss", "accuracy", "brier", "ece", "ece_classwise"):
        assert turned[name] == pytest.approx(found.metrics[name].value, abs=1e-9)


def test_copies_of_rows_make_no_interval_narrower_if_they_are_of_one_group() -> None:
    p, votes, _ = simulated(4, 300)
    groups = [str(i) for i in range(300)]
    single = evaluate(p, votes, groups).metrics
    copies = evaluate(np.tile(p, (4, 1)), np.tile(votes, (4, 1)), groups * 4).metrics
    blind = evaluate(np.tile(p, (4, 1)), np.tile(votes, (4, 1))).metrics
    for name in ("loss", "accuracy", "brier", "auc"):
        width = {k: m[name].high - m[name].low for k, m in (("1", single), ("4", copies), ("blind", blind))}
        assert width["4"] == pytest.approx(width["1"], rel=0.02)
        assert width["blind"] == pytest.approx(width["1"] / 2, rel=0.15)


def test_seeds_and_levels() -> None:
    p, votes, _ = simulated(5, 200)
    loss = evaluate(p, votes).metrics["loss"]
    expected = evaluate(p, votes).expected_if_calibrated
    assert evaluate(p, votes).expected_if_calibrated == expected
    assert evaluate(p, votes, seed=1).expected_if_calibrated != expected
    narrow = evaluate(p, votes, level=0.5).metrics["loss"]
    assert loss.low < narrow.low < narrow.value < narrow.high < loss.high
    standard_error = np.log((p * votes).sum(axis=1)).std() / np.sqrt(200)
    assert (loss.high - loss.low) / 2 == pytest.approx(1.96 * standard_error, rel=0.1)


def test_sampled_votes_do_not_depend_on_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    p, votes, _ = simulated(6, 50)
    at_once = evaluate(p, votes, resamples=40)
    monkeypatch.setattr("tiebreak.metrics.calibration_error.BATCH_VOTES", 200)
    assert evaluate(p, votes, resamples=40).expected_if_calibrated == at_once.expected_if_calibrated


def test_soft_votes_count_as_a_whole_where_they_can() -> None:
    soft = np.array([(0.5, 0.3, 0.2), (0.1, 0.6, 0.3)])
    found = values(soft, soft)
    assert found["loss"] == pytest.approx(-(soft * np.log(soft)).sum() / 2)
    assert (found["brier"], found["accuracy"], found["ece"]) == (0, 1, pytest.approx(0, abs=1e-12))


def test_a_judge_that_knows_no_ties_is_compared_with_a_guess_of_two() -> None:
    decided = evaluate([[0.75, 0.25, 0]] * 2, [(1, 0, 0), (0, 1, 0)])
    assert (decided.knows_ties, decided.ties) == (False, 0)
    assert decided.uniform_loss == decided.to_dict()["uniform_loss"] == pytest.approx(0.693147, abs=1e-6)
    assert decided.metrics["loss"].value == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    tied = evaluate([[0.75, 0.25, 0]] * 3, [(1, 0, 0), (0, 0, 1), (0.5, 0, 0.5)])
    assert (tied.knows_ties, tied.ties) == (False, 2)
    assert tied.metrics["loss_tie"].value == pytest.approx(34.5388, abs=1e-4)
    one = evaluate([[0.75, 0.25, 0], [0.5, 0.4, 0.1]], [(1, 0, 0), (0, 1, 0)])
    assert (one.knows_ties, one.ties) == (True, 0)
    assert one.uniform_loss == pytest.approx(1.098612, abs=1e-6)


def test_what_one_outcome_leaves_undefined_is_said() -> None:
    found = evaluate([(0.5, 0.3, 0.2), (0.2, 0.2, 0.6)], [A_WINS, A_WINS], resamples=10)
    assert "auc" not in found.metrics
    assert found.undefined["auc"].startswith("all 2 votes are model_a; the AUC needs votes for two outcomes")
    assert found.undefined["loss_tie"] == "no votes for tie"
    two = evaluate([(0.5, 0.3, 0.2), (0.2, 0.2, 0.6)], [A_WINS, B_WINS], resamples=10)
    assert two.undefined["auc_tie"] == "no votes for tie"
    assert two.metrics["auc"].value == pytest.approx((1 + 0) / 2)
    json.dumps(two.to_dict(), allow_nan=False)
    single = evaluate([(0.5, 0.3, 0.2)], [TIE])
    assert single.to_dict()["metrics"]["loss"] == {"value": pytest.approx(-np.log(0.2)), "low": None, "high": None}


@pytest.mark.parametrize(
    ("probabilities", "votes", "message"),
    [
        (np.empty((0, 3)), [], "no rows"),
        ([(0.5, 0.5)], [TIE], "have the shape"),
        ([(0.5, 0.5, 0.5)], [TIE], r"sum to 1 in every row; 1 rows do not\. The first is row 0: .* sum of 1\.5"),
        ([(1.2, -0.2, 0.0)], [TIE], "probabilities must be at least 0"),
        ([(0.2, 0.3, 0.5), (float("nan"), 0.5, 0.5)], [TIE, TIE], "1 rows of probabilities are not finite.*row 1"),
        ([(0.2, 0.3, 0.5)] * 2, [TIE, None], r"1 of 2 rows have no vote \(the first is row 1\)"),
        ([(0.2, 0.3, 0.5)], [(0.0, 0.0, 0.0)], "votes must be at least 0 and sum to 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(probabilities: Any, votes: Any, message: str) -> None:
    with pytest.raises(ComparisonsError, match=message):
        evaluate(probabilities, votes)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ComparisonsError, match="2 groups for 1 rows"):
        evaluate([(0.2, 0.3, 0.5)], [TIE], ["a", "b"])
    with pytest.raises(ComparisonsError, match=r"level is 1\.5"):
        evaluate([(0.2, 0.3, 0.5)], [TIE], level=1.5)
    with pytest.raises(ComparisonsError, match="resamples is 0"):
        evaluate([(0.2, 0.3, 0.5)], [TIE], resamples=0)


def tagged(number: int, vote: tuple[float, float, float], turns: int = 1, **tags: str) -> Comparison:
    named: Tags = tuple(sorted(tags.items()))
    return Comparison((f"p{number}",) * turns, ("a " * (number + 1),) * turns, ("b",) * turns, vote, tags=named)


def test_slices_are_measured_and_small_ones_are_pooled() -> None:
    votes = [A_WINS, B_WINS, TIE]
    comparisons = [
        tagged(i, votes[i % 3], turns=1 + i % 2, model_a="gpt", model_b="llama" if i < 30 else "gpt",
               source="big" if i < 40 else f"small {i % 4}")
        for i in range(60)
    ]  # fmt: skip
    said = np.random.default_rng(0).dirichlet([1, 1, 1], 60)
    parts = slice_metrics(said, comparisons, min_rows=10)
    named = [(part.by, part.value, part.rows) for part in parts]
    assert named[:4] == [("source", "big", 40), ("source", "others", 20), ("model", "gpt", 60), ("model", "llama", 30)]
    assert named[4:6] == [("turns", "1 turn", 30), ("turns", "2 turns", 30)]
    assert [by for by, _, _ in named[6:]] == ["length"] * 4  # no language: nothing is known of it
    assert sum(rows for by, _, rows in named if by == "length") == 60
    big = values(said[:40], [c.vote for c in comparisons[:40]])
    assert (parts[0].loss.value, parts[0].accuracy.value) == (
        pytest.approx(big["loss"]),
        pytest.approx(big["accuracy"]),
    )
    assert parts[0].loss.low < parts[0].loss.value < parts[0].loss.high
    with pytest.raises(ComparisonsError, match="no rows"):
        slice_metrics(np.empty((0, 3)), [])
