"""Classical judges by the command line: run folders like any other, and no language model where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.integration.conftest import paired_votes, probabilities, small_votes, tiebreak
from tiebreak import ModelError, RecipeError, RunError, load_judge, load_recipe, train
from tiebreak.data.writer import write_comparisons
from tiebreak.export import export_run
from tiebreak.judges.baseline import BaselineJudge
from tiebreak.metrics import preference_metrics
from tiebreak.models import read_card
from tiebreak.report.run_metadata import read_run_metadata
from tiebreak.runs import RunFolder
from tiebreak.workflows.calibrate import remove_calibration

Votes = tuple[Path, Path]


def settings(votes: Votes, output: Path, *more: str) -> list[str]:
    return [f"data.train={votes[0]}", f"data.validation={votes[1]}", f"output={output}", *more]


@pytest.fixture(scope="module")
def run(votes: Votes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of boosted trees; not to be written to."""
    folder = tmp_path_factory.mktemp("baselines") / "trees"
    small = ("baseline.max_iter=20", "baseline.bags=1", "baseline.topics=2", "baseline.learning_rate=0.3")
    done = tiebreak("train", "baseline-trees", *settings(votes, folder, *small))
    assert done.returncode == 0, done.stderr
    assert "Fitting 1 ensemble of gradient-boosted trees" in done.stderr
    assert f"The judge is in {folder}. Next:" in done.stdout
    return folder


def test_a_run_folder_as_any_other(run: Path, votes: Votes) -> None:
    names = {path.name for path in run.iterdir()} - {".lock"}
    assert names == {
        "recipe.yaml", "environment.json", "validation.parquet", "training_prompts.npy", "model", "predictions.parquet",
        "metrics.json",
    }  # fmt: skip
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["loss"] < 0.3
    assert json.loads((run / "environment.json").read_text())["packages"]["scikit-learn"]
    kept = pd.read_parquet(run / "predictions.parquet")
    judge = load_judge(run)
    assert isinstance(judge, BaselineJudge)
    rows = small_votes(30, first=90)
    again = np.array([(v.model_a, v.model_b, v.tie) for v in judge.compare_many(rows)])
    np.testing.assert_allclose(kept[["winner_model_a", "winner_model_b", "winner_tie"]], again, atol=1e-15)
    assert preference_metrics(again, [row.vote for row in rows if row.vote]) == metrics


def test_it_judges_evaluates_predicts_and_ranks(run: Path, votes: Votes, tmp_path: Path) -> None:
    judged = tiebreak("judge", run, "--prompt", "question 1 1 1 ?", "--a", "bad answer", "--b", "good answer")
    assert judged.stdout.endswith("Answer: Model b\n")
    evaluated = tiebreak("evaluate", run, votes[1], "--swap", "average", "--json")
    assert json.loads(evaluated.stdout)["loss"] == pytest.approx(json.loads((run / "metrics.json").read_text())["loss"])
    predicted = tiebreak("predict", run, votes[1], "-o", tmp_path / "submission.csv")
    assert predicted.returncode == 0, predicted.stderr
    assert len(pd.read_csv(tmp_path / "submission.csv")) == 30
    (tmp_path / "candidates.jsonl").write_text(
        json.dumps({"id": "1", "prompt": "question 5 5 5 ?", "responses": ["bad answer", "good answer"]}) + "\n"
    )
    scored = tiebreak("score", run, tmp_path / "candidates.jsonl", "-o", tmp_path / "scores.jsonl")
    assert scored.returncode == 0, scored.stderr
    assert json.loads((tmp_path / "scores.jsonl").read_text())["best_response"] == "good answer"


def test_no_torch_is_loaded_for_it(run: Path, votes: Votes, tmp_path: Path) -> None:
    write_comparisons(tmp_path / "many.csv", paired_votes(120, first=500))
    commands = (
        ["train", "baseline-length", *settings(votes, tmp_path / "length")],
        ["evaluate", str(run), str(votes[1])],
        ["judge", str(run), "--prompt", "p", "--a", "a", "--b", "b"],
        ["calibrate", str(run), "--remove"],
        ["calibrate", str(tmp_path / "length"), str(tmp_path / "many.csv")],
    )
    for command in commands:
        code = (
            "import sys\nfrom tiebreak.cli import app\n"
            f"app({[str(part) for part in command]!r}, standalone_mode=False)\n"
            "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert shown.stdout.endswith("[]\n"), command


def test_both_orders_say_the_same(run: Path) -> None:
    judge = load_judge(run)
    rows = small_votes(9)
    plain = judge.compare_many(rows)
    assert judge.compare_many(rows, swap="average") == plain
    assert judge.compare_many(rows, swap="uncertain:0.5") == plain
    assert [(v.model_b, v.model_a, v.tie) for v in judge.compare_many([row.swap() for row in rows])] == [
        (v.model_a, v.model_b, v.tie) for v in plain
    ]
    assert not judge.gives_rewards
    with pytest.raises(ModelError, match="has no reward for a single one"):
        judge.score("p", "a")
    with pytest.raises(ValueError, match="swap is 'mean'"):
        judge.compare_many(rows, swap="mean")


def test_what_needs_a_language_model_says_so(run: Path, votes: Votes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--merge needs a run with a base model"):
        load_judge(run, merge="bf16")
    with pytest.raises(ModelError, match="--base-model needs a run with a base model"):
        load_judge(run, base_model="google/gemma-2-9b")
    with pytest.raises(RunError, match=r"Only a fine-tuned model is exported: .* holds a baseline"):
        export_run(run, tmp_path / "export")
    with pytest.raises(RunError, match=r"This needs a fine-tuned model: .* holds a baseline"):
        read_card(run / "model")
    start = tiebreak("train", "demo", *settings(votes, tmp_path / "later", f"model.start_from={run}"))
    assert start.returncode == 1
    assert "holds a baseline" in " ".join(start.stderr.split())
    planned = tiebreak("plan", "baseline-trees", "--gpu", "h100")
    assert planned.returncode == 1
    assert "there is nothing to plan" in " ".join(planned.stderr.split())


def test_a_run_is_taken_finished_or_begun_again(votes: Votes, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", []
    recipe = load_recipe("baseline-prior", settings(votes, folder))
    metrics = train(recipe, log=log.append).metrics
    with pytest.raises(RunError, match="already holds a run"):
        train(recipe)
    assert train(recipe, resume=True, log=log.append).metrics == metrics
    assert log[-1] == f"{folder} is finished already: nothing to do."
    (folder / "metrics.json").unlink()  # as if it had been stopped
    with pytest.raises(RecipeError, match=r"baseline\.kind was 'prior', now 'length'"):
        train(load_recipe("baseline-length", settings(votes, folder)), resume=True)
    with pytest.raises(RecipeError, match=r"started as a baseline, not as a language model"):
        train(load_recipe("demo", settings(votes, folder)), resume=True)
    assert train(recipe, resume=True, log=log.append).metrics == metrics


def test_a_calibration_is_fitted_kept_and_left_out_on_request(tmp_path: Path) -> None:
    rows = small_votes(400)
    draw = np.random.default_rng(0)
    blind = [rows[draw.integers(3)].vote if draw.random() < 0.5 else row.vote for row in rows]
    noisy = [replace(row, vote=vote) for row, vote in zip(rows, blind, strict=True)]
    write_comparisons(tmp_path / "votes.csv", noisy)
    log: list[str] = []
    recipe = load_recipe(
        "baseline-tfidf", [f"data.train={tmp_path / 'votes.csv'}", f"output={tmp_path / 'run'}", "baseline.C=1000",
        "data.validation_rows=60", "data.calibration_rows=150"],
    )  # fmt: skip
    metrics = train(recipe, log=log.append).metrics
    assert "Calibration rows: 150." in log
    assert {"loss", "uncalibrated_loss"} <= set(metrics)
    judge = load_judge(tmp_path / "run")
    assert judge.calibration is not None
    assert judge.calibration.rows == 150
    raw = load_judge(tmp_path / "run", calibrate=False)
    assert raw.calibration is None
    given: Any = [(v.model_a, v.model_b, v.tie) for v in raw.compare_many(noisy[:5])]
    calibrated = [(v.model_a, v.model_b, v.tie) for v in judge.compare_many(noisy[:5])]
    np.testing.assert_allclose(judge.calibration.apply(given), calibrated, atol=1e-12)


def test_a_finished_run_is_calibrated_and_its_calibration_taken_out(tmp_path: Path) -> None:
    votes = paired_votes(320)
    write_comparisons(tmp_path / "votes.csv", votes)
    write_comparisons(tmp_path / "later.csv", paired_votes(150, first=400))
    write_comparisons(tmp_path / "few.csv", votes[:99])
    run = tmp_path / "run"
    overrides = [f"data.train={tmp_path / 'votes.csv'}", f"output={run}", "baseline.C=1e-2", "data.validation_rows=40"]
    train(load_recipe("baseline-tfidf", overrides))
    before = (run / "model/baseline.json").read_bytes()
    few = tiebreak("calibrate", run, tmp_path / "few.csv")
    assert few.returncode == 1
    assert "few.csv: 99 rows are too few to calibrate on" in " ".join(few.stderr.split())
    assert (run / "model/baseline.json").read_bytes() == before

    shown = tiebreak("calibrate", run, tmp_path / "later.csv", "--json")
    assert shown.returncode == 0, shown.stderr
    kept = json.loads(shown.stdout)
    assert (kept["rows"], kept["prompts"], kept["orders"], kept["votes"]) == (150, 75, 1, "later.csv")
    assert kept["method"] == "temperature"  # C=1e-2 leaves it less sure than it could be
    judge, raw = load_judge(run), load_judge(run, calibrate=False)
    assert judge.calibration is not None
    assert raw.calibration is None
    as_given = probabilities(raw, votes)
    np.testing.assert_allclose(probabilities(judge, votes), judge.calibration.apply(as_given), atol=1e-12)
    losses = [
        json.loads(tiebreak("evaluate", run, tmp_path / "votes.csv", "--json", *more).stdout)["loss"]
        for more in ((), ("--no-calibration",))
    ]
    assert losses[0] < losses[1] - 0.1
    assert read_run_metadata(RunFolder(run)).calibration == judge.calibration  # what the report shows
    assert remove_calibration(run)
    assert not remove_calibration(run)
    assert (run / "model/baseline.json").read_bytes() == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("baseline.kind=forest", r"baseline\.kind: .*'trees'.*it is 'forest'"),
        ("baseline.max_iter=0", r"baseline\.max_iter: .*greater than 0"),
        ("baseline.max_features=2", r"baseline\.max_features: .*less than or equal to 1"),
        ("baseline.n_estimators=5", r"baseline\.n_estimators: there is no such key"),
        ("lora.r=8", r"baseline and lora .*cannot be combined"),
        ("model.name=google/gemma-2-9b", r"baseline and model .*cannot be combined"),
    ],
)
def test_what_is_wrong_with_a_baseline_is_said(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("baseline-trees", [override])


def test_bad_votes_leave_no_folder(votes: Votes, tmp_path: Path) -> None:
    ties = [row for row in small_votes(30) if row.vote == (0, 0, 1)]
    write_comparisons(tmp_path / "ties.csv", ties)
    done = tiebreak("train", "baseline-length", *settings((tmp_path / "ties.csv", votes[1]), tmp_path / "run"))
    assert done.returncode == 1
    assert "All 10 training votes are ties" in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()
    several = tiebreak("train", "baseline-length", *settings(votes, tmp_path / "run"), "--gpus", "2")
    assert several.returncode == 1
    assert "fitted by one process" in " ".join(several.stderr.split())
