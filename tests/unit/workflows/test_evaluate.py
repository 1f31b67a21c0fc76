"""`tiebreak.workflows.evaluate` from Python: what it takes, and what it keeps in the run's folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tiebreak import load_judge
from tiebreak.data import load_comparisons
from tiebreak.errors import DataError, RunError
from tiebreak.metrics import preference_metrics
from tiebreak.models import read_adapter_card
from tiebreak.runs import RunFolder, read_orders, write_validation_rows
from tiebreak.types import Comparison
from tiebreak.workflows.calibrate import remove_calibration
from tiebreak.workflows.evaluate import evaluate, truncation_message
from tiebreak.workflows.orders import is_symmetric, judge_both_orders
from tiebreak.workflows.predictions import read_run_predictions
from tiebreak.workflows.vote_overlap import TrainingOverlap, measure_training_overlap

OLD_RUNS = Path(__file__).parents[2] / "fixtures" / "runs_0_1"


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(OLD_RUNS, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")


def test_a_file_a_list_and_a_frame_give_the_same() -> None:
    comparisons = load_comparisons("votes.csv", votes="required")
    by_file = evaluate("length", "votes.csv").to_dict()
    assert (by_file["run"], by_file["data"], by_file["rows"]) == ("length", "votes.csv", 260)
    assert "baselines" not in by_file
    for judge, votes, named in (
        ("length", comparisons, {"data": None}),
        ("length", pd.read_csv("votes.csv", dtype=str), {"data": None}),
        (load_judge("length"), Path("votes.csv"), {"run": None, "training_overlap": None}),
    ):
        assert evaluate(judge, votes).to_dict() == by_file | named
    result = evaluate("length", comparisons)
    probabilities = [verdict.probabilities for verdict in load_judge("length").compare_many(comparisons)]
    metrics = preference_metrics(probabilities, [row.vote for row in comparisons])
    assert result.metrics["loss"].value == pytest.approx(metrics["loss"], abs=1e-12)
    assert result.metrics["accuracy"].value == metrics["accuracy"]


def test_rows_that_the_run_was_trained_on_are_counted() -> None:
    log: list[str] = []
    votes = load_comparisons("votes.csv", votes="required")
    result = evaluate("length", votes[:40], log=log.append)
    trained = len(votes[:40]) - sum(row.id in read_run_predictions("length").ids for row in votes[:40])
    assert 20 < trained < 40
    assert result.training_overlap == TrainingOverlap(trained, 40)
    assert result.to_dict()["training_overlap"] == {"rows": trained, "share": trained / 40}
    share = f"({trained / 40:.1%})"
    assert f"{trained} of 40 rows have prompts that length was trained on {share}: the judge" in "".join(log)

    log.clear()
    blended = evaluate("blend", votes[:40], log=log.append).training_overlap
    assert blended is not None
    assert trained <= blended.rows < 40  # a member was trained on them
    assert "that blend/../length was trained on" in "".join(log)

    log.clear()
    own = evaluate("length", log=log.append)
    assert own.training_overlap == TrainingOverlap(0, 24)
    assert not any("trained on" in line for line in log)
    Path("votes.csv").unlink()
    assert evaluate("length", votes[:40], log=log.append).training_overlap is None
    assert "Whether length was trained on these votes is unknown" in "".join(log)


def test_without_votes_the_validation_rows_are_judged() -> None:
    predictions = read_run_predictions("tfidf")
    loss = preference_metrics(predictions.probabilities, predictions.votes)["loss"]
    replayed = evaluate("tfidf")
    assert replayed.metrics["loss"].value == pytest.approx(loss, abs=1e-9)
    write_validation_rows(RunFolder("tfidf"), load_comparisons("votes.csv", votes="required")[:3], None)
    with pytest.raises(RunError, match="does not hold the rows"):
        evaluate("tfidf")


def test_baselines_are_measured_on_the_same_rows() -> None:
    log: list[str] = []
    result = evaluate("length", baselines=True, log=log.append)
    assert "Fitting a baseline: words (tf-idf)." in log
    names = [other.name for other in result.comparisons]
    assert set(names) == {"shares of the training votes", "words (tf-idf)", "boosted trees", "a uniform guess"}
    losses = [other.loss.value for other in result.comparisons]
    assert losses == sorted(losses)
    for other in result.comparisons:
        assert other.gain.value == pytest.approx(other.loss.value - result.metrics["loss"].value)
    assert [other["name"] for other in result.to_dict()["baselines"]] == names
    with pytest.raises(RunError, match="Give the run's folder"):
        evaluate(load_judge("length"), "votes.csv", baselines=True)


@pytest.mark.filterwarnings("ignore")
def test_orders_of_the_validation_rows_are_kept_for_the_report() -> None:
    run, ids = RunFolder("pairwise"), read_run_predictions("pairwise").ids
    assert evaluate("pairwise", "votes.csv", bias=True).position_bias is not None
    assert read_orders(run, ids) is None  # these are other rows
    progress: list[tuple[int, int]] = []
    result = evaluate("pairwise", bias=True, on_progress=lambda done, total: progress.append((done, total)))
    assert progress[-1] == (2 * len(ids), 2 * len(ids))
    orders = read_orders(run, ids)
    assert orders is not None
    predictions = read_run_predictions("pairwise")
    np.testing.assert_allclose(orders.as_given, predictions.probabilities, atol=1e-4)
    assert result.position_bias is not None
    kept = judge_both_orders("pairwise")
    assert kept is not None
    np.testing.assert_array_equal(kept.as_given, orders.as_given)
    run.orders.unlink()
    evaluate("pairwise", bias=True, calibrate=False)  # not as the predictions are
    assert read_orders(run, ids) is None
    again = judge_both_orders("pairwise")
    assert again is not None
    np.testing.assert_allclose(again.swapped, orders.swapped, atol=1e-5)


def test_symmetric_judges_have_no_orders_to_judge() -> None:
    for name in ("length", "blend", "pointwise"):
        assert is_symmetric(RunFolder(name))
    assert judge_both_orders("length") is None
    assert not is_symmetric(RunFolder("pairwise"))
    assert not RunFolder("length").orders.exists()
    assert remove_calibration("blend")


def test_votes_that_cannot_be_used() -> None:
    unlabelled = Comparison(("p",), ("a",), ("b",))
    with pytest.raises(DataError, match="1 of 1 comparisons have no vote"):
        evaluate("length", [unlabelled])
    with pytest.raises(DataError, match="at least one comparison"):
        evaluate("length", [])
    with pytest.raises(DataError, match="a loaded judge needs `votes`"):
        evaluate(load_judge("length"))
    with pytest.raises(RunError, match="There is no run folder"):
        evaluate("nowhere")


def test_truncation_is_counted() -> None:
    assert truncation_message([0, 0]) is None
    assert truncation_message([0, 1200, 5]) == "2 of 3 comparisons truncated: 1,205 tokens were not read."


def test_messages_about_a_published_model_do_not_call_it_a_run() -> None:
    Path("rm").mkdir()
    Path("rm/config.json").write_text("{}")
    log: list[str] = []
    assert measure_training_overlap(RunFolder("rm"), ["a prompt"], log.append) is None
    assert log == ["Whether rm was trained on these votes is unknown: a published model does not name its votes."]
    with pytest.raises(
        RunError, match=r"^rm is a published model, .* Train one: tiebreak train RECIPE model\.name=rm\.$"
    ):
        read_adapter_card(RunFolder("rm").model)
