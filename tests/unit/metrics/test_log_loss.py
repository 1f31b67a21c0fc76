"""Metrics by hand-computed numbers, and predictions as files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiebreak.errors import DataError, RunError
from tiebreak.metrics import cross_entropies, preference_metrics
from tiebreak.runs import submission_frame, write_submission
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison


def test_log_loss_and_accuracy_by_hand() -> None:
    given_probabilities = [(0.5, 0.25, 0.25), (0.2, 0.7, 0.1), (0.6, 0.3, 0.1)]
    metrics = preference_metrics(given_probabilities, [A_WINS, B_WINS, TIE])
    assert metrics["loss"] == pytest.approx(-(math.log(0.5) + math.log(0.7) + math.log(0.1)) / 3)
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["loss_tie"] == pytest.approx(-math.log(0.1))
    assert metrics["accuracy_tie"] == 0
    assert metrics["accuracy_model_b"] == 1


def test_a_soft_vote_is_met_best_by_itself() -> None:
    soft = (0.5, 0.3, 0.2)
    entropy = -sum(p * math.log(p) for p in soft)
    assert cross_entropies([soft], [soft])[0] == pytest.approx(entropy)
    assert cross_entropies([(0.4, 0.4, 0.2)], [soft])[0] > entropy


def test_a_uniform_guess_is_log_3_and_certain_mistakes_are_finite() -> None:
    assert preference_metrics([(1 / 3,) * 3] * 2, [A_WINS, TIE])["loss"] == pytest.approx(math.log(3))
    assert preference_metrics([(1.0, 0.0, 0.0)], [TIE])["loss"] == pytest.approx(-math.log(1e-15))


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([(0.5, 0.5)], "have the shape"),
        ([(0.5, 0.5, 0.5)], "sum to 1"),
        ([(float("nan"), 0.5, 0.5)], "1 rows of probabilities are not finite"),
        (np.empty((0, 3)), "have the shape"),
    ],
)
def test_impossible_probabilities_are_refused(probabilities: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preference_metrics(probabilities, [TIE])
    with pytest.raises(ValueError, match="no rows"):
        preference_metrics(np.empty((0, 3)), [])


@given(st.lists(st.tuples(*[st.floats(1e-6, 1)] * 3), min_size=1, max_size=20))
def test_a_submission_sums_to_1_and_keeps_its_order(rows: list[tuple[float, float, float]]) -> None:
    comparisons = [Comparison(("p",), ("a",), ("b",), id=str(len(rows) - i)) for i in range(len(rows))]
    frame = submission_frame(comparisons, rows)
    assert frame["id"].tolist() == [c.id for c in comparisons]
    np.testing.assert_allclose(frame.iloc[:, 1:].sum(axis=1), 1, atol=1e-15)


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_submission_is_read_back_as_it_was(ending: str, tmp_path: Path) -> None:
    comparisons = [Comparison(("p",), ("a",), ("b",), id=f"x{i}") for i in range(3)]
    rows = [(0.1, 0.2, 0.7), (1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, 0.0)]
    path = tmp_path / f"submission.{ending}"
    write_submission(path, comparisons, rows)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "jsonl": lambda p: pd.read_json(p, lines=True)}[ending](
        path
    )
    assert list(read) == ["id", "winner_model_a", "winner_model_b", "winner_tie"]
    np.testing.assert_allclose(read.iloc[:, 1:], rows, atol=1e-14)


def test_a_submission_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"as \.csv, \.parquet or \.jsonl, not as \.xlsx"):
        write_submission(tmp_path / "x.xlsx", [], np.empty((0, 3)))
    with pytest.raises(DataError, match="is a folder"):
        write_submission(tmp_path, [], np.empty((0, 3)))
    with pytest.raises(RunError, match="disk is full"):
        write_submission(Path("/dev/full"), [Comparison(("p",), ("a",), ("b",))], [(0.2, 0.3, 0.5)])
