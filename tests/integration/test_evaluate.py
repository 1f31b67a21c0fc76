"""`tiebreak evaluate`: what it prints and what it writes for scripts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.integration.conftest import small_votes
from tiebreak import load_judge
from tiebreak.cli import app
from tiebreak.data import load_comparisons, write_comparisons
from tiebreak.metrics import preference_metrics
from tiebreak.training import TrainingResult
from tiebreak.types import A_WINS, TIE


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert result.exception is None, result.output
    return result


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """66 votes of two sources, 33 prompts, and answers of different lengths and formats."""
    votes = []
    for i, c in enumerate(small_votes(66)):
        answer = f"- {c.answer_a[0]}\n- {c.answer_a[0]}" if i % 2 else c.answer_a[0]
        tags = (("model_a", "gpt"), ("model_b", "llama"), ("source", "x" if i % 2 else "[y]"))
        votes.append(replace(c, prompt=(f"question {i // 2} ?",), answer_a=(answer,), tags=tags))
    write_comparisons(tmp_path / "votes.csv", votes)
    return tmp_path / "votes.csv"


def test_everything_is_in_the_json(small_run: TrainingResult, tagged: Path) -> None:
    found = json.loads(run(small_run.folder, tagged, "--bias", "--swap", "average", "--json").stdout)
    comparisons = load_comparisons(tagged, votes="required")
    votes = [c.vote for c in comparisons if c.vote is not None]
    judge = load_judge(small_run.folder.path)
    p = [(v.model_a, v.model_b, v.tie) for v in judge.compare_many(comparisons, swap="average")]
    wanted = preference_metrics(p, votes)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert (found["rows"], found["swap"]) == (66, "average")

    evaluation = found["evaluation"]
    assert (evaluation["groups"], evaluation["level"], evaluation["resamples"]) == (33, 0.95, 1000)
    assert evaluation["metrics"]["loss"]["value"] == pytest.approx(wanted["loss"], abs=1e-6)
    for name in ("loss", "accuracy", "brier", "ece", "ece_classwise", "ece_tie", "auc", "auc_model_b"):
        estimate = evaluation["metrics"][name]
        if name.startswith("ece"):
            assert (estimate["low"], estimate["high"]) == (None, None)
            estimate = evaluation["expected_if_calibrated"][name]
            assert 0 < estimate["low"] < estimate["high"] < 0.3
        assert estimate["low"] <= estimate["value"] <= estimate["high"], name
    assert np.sum(evaluation["confusion"]["voted_by_judged"]) == 66
    assert len(evaluation["reliability"]) == 8
    assert {(b["by"], b["value"], b["rows"]) for b in found["breakdown"] if b["by"] != "length"} == {
        ("source", "x", 33), ("source", "[y]", 33), ("model", "gpt", 66), ("model", "llama", 66),
    }  # fmt: skip

    position = found["bias"]["position"]
    one_way = [(v.model_a, v.model_b, v.tie) for v in judge.compare_many(comparisons)]
    assert position["loss"]["as_given"]["value"] == pytest.approx(preference_metrics(one_way, votes)["loss"], abs=1e-6)
    assert position["loss"]["average"]["value"] == pytest.approx(wanted["loss"], abs=1e-6)
    assert position["agreement"]["value"] + position["flip_rate"]["value"] == pytest.approx(1)
    assert found["bias"]["format"]["lists"]["rows"] == 33
    assert found["bias"]["length"]["longer"]["rows"] > 0


def test_the_tables(small_run: TrainingResult, tagged: Path) -> None:
    lines = run(small_run.folder, tagged, "--bias").stdout.splitlines()
    assert "The log loss of shares of these votes is " in lines[0]
    assert lines[2].split() == ["log", "loss", "accuracy"]
    assert lines[3].startswith("66 rows ")
    assert "In brackets: 95% intervals over 33 prompts." in lines
    shown = [line.split("  ")[0].strip() or line.strip() for line in lines]
    for start in (
        "A was preferred", "Brier score (0 to 2)", "calibration error", "AUC, mean of", "people / judge", "by source",
        "by model", "by length", "the longer one", "more lists", "both orders agree", "log loss of the average",
    ):  # fmt: skip
        assert start in shown, start
    assert any(line.startswith("  [y] ") for line in lines)  # no markup of rich's
    brief = run(small_run.folder, tagged).stdout
    assert "the longer one" in brief
    assert "both orders agree" not in brief


def test_a_judge_of_single_answers_has_no_position_bias(small_rewards: TrainingResult, tagged: Path) -> None:
    result = run(small_rewards.folder, tagged, "--bias", "--json")
    assert json.loads(result.stdout)["bias"]["position"] is None
    shown = run(small_rewards.folder, tagged, "--bias")
    assert "reads one answer at a time: it has no position bias" in shown.stderr


def test_ties_of_probability_0_are_explained(small_rewards: TrainingResult, tmp_path: Path) -> None:
    judge = Path(shutil.copytree(small_rewards.folder.path, tmp_path / "run"))
    card = json.loads((judge / "model/tiebreak.json").read_text())
    card["rewards"]["tie_model"] = "bradley-terry"
    (judge / "model/tiebreak.json").write_text(json.dumps(card))
    votes = small_votes(30)
    write_comparisons(tmp_path / "votes.csv", votes)
    write_comparisons(tmp_path / "decided.csv", [c for c in votes if c.vote != TIE])
    shown = " ".join(run(judge, tmp_path / "votes.csv").stdout.split())
    assert "of 0, and 10 of 30 rows are ties in whole or in part. A tie costs it 34.54 nats" in shown
    assert "train a judge that predicts ties (model.tie_model=davidson)" in shown
    assert "1.0986" not in shown
    decided = " ".join(run(judge, tmp_path / "decided.csv").stdout.split())
    assert "gives ties a probability of 0. A uniform guess between A and B has a log loss of 0.6931." in decided
    assert "A uniform guess has a log loss of 1.0986." in run(small_rewards.folder, tmp_path / "votes.csv").stdout
    found = json.loads(run(judge, tmp_path / "votes.csv", "--json").stdout)["evaluation"]
    assert (found["knows_ties"], found["ties"]) == (False, 10)
    assert found["metrics"]["loss_tie"]["value"] == pytest.approx(34.5388, abs=1e-4)


def test_the_validation_rows_are_the_default(small_run: TrainingResult, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_run.folder.path, tmp_path / "run"))
    found = json.loads(run(folder, "--bias", "--baselines", "--json").stdout)
    assert found["loss"] == pytest.approx(small_run.metrics["loss"], abs=1e-5)
    assert found["rows"] == 30
    assert {path.name for path in folder.iterdir()} >= {"orders.parquet", "baselines"}
    assert "words (tf-idf)" in [other["name"] for other in found["baselines"]]
    shown = run(folder, "--baselines").stdout
    assert "gain of the run" in shown
    assert "boosted trees" in shown


def test_votes_of_one_kind_and_none(small_run: TrainingResult, tmp_path: Path) -> None:
    alike = [c for c in small_votes(30) if c.vote == A_WINS]
    write_comparisons(tmp_path / "alike.csv", alike)
    shown = run(small_run.folder, tmp_path / "alike.csv").stdout
    assert "The AUC is undefined: all 10 votes are model_a" in shown
    write_comparisons(tmp_path / "one.csv", alike[:1])
    assert "All rows have one prompt, so there are no intervals" in run(small_run.folder, tmp_path / "one.csv").stdout
    (tmp_path / "none.csv").write_text("id,prompt,response_a,response_b\n1,p,a,b\n")
    result = CliRunner().invoke(app, ["evaluate", str(small_run.folder), str(tmp_path / "none.csv")])
    assert "lacks winner_model_a, winner_model_b, winner_tie" in str(result.exception)
