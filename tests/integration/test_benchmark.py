"""`tiebreak evaluate --benchmark`, as users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import probabilities, small_votes, tiebreak
from tiebreak import load_judge
from tiebreak.training import TrainingResult
from tiebreak.types import Comparison


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JudgeBench's columns with pairs that the small run tells apart."""
    path = tmp_path_factory.mktemp("gold") / "pairs.jsonl"
    rows = [
        {"question": c.prompt[0], "response_A": c.answer_a[0], "response_B": c.answer_b[0],
         "label": "A>B" if c.vote == (1.0, 0.0, 0.0) else "B>A", "source": "livecodebench"}
        for c in small_votes(30, first=300)
        if c.vote != (0.0, 0.0, 1.0)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("run", ["small_run", "small_rewards"])
def test_either_head_takes_a_benchmark(run: str, gold: Path, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(run).folder.path
    done = tiebreak("evaluate", folder, gold, "--benchmark", "judgebench", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["benchmark"] == "judgebench"
    assert found["rows"] == 20
    assert found["training_overlap"] == {"rows": 0, "share": 0.0}
    scores = {score["name"]: score for score in found["scores"]}
    judge = load_judge(folder)
    rows = [json.loads(line) for line in gold.read_text().splitlines()]
    asked = [Comparison((r["question"],), (r["response_A"],), (r["response_B"],)) for r in rows]
    right = 0
    for row, (first, second) in zip(rows, judge.compare_orders(asked), strict=True):
        sign = 1 if row["label"] == "A>B" else -1
        gaps = [sign * (v.model_a - v.model_b) for v in (first, second)]
        right += sum((gap > 0) - (gap < 0) for gap in gaps) > 0
    assert scores["JudgeBench"]["value"] == right / 20
    assert scores["Coding"]["rows"] == 20
    assert found["rows_cut"] == 0


def test_a_file_names_itself_and_the_table_says_the_rule(small_run: TrainingResult, gold: Path) -> None:
    done = tiebreak("evaluate", small_run.folder, "--benchmark", gold)
    assert done.returncode == 0, done.stderr
    assert "JudgeBench (Tan et al. 2025): 20 rows" in done.stdout
    assert "95 % interval" in done.stdout
    assert "Traceback" not in done.stderr


def test_prompts_that_the_run_was_trained_on_are_counted(small_run: TrainingResult, tmp_path: Path) -> None:
    rows = [
        {"question": c.prompt[0], "response_A": "good", "response_B": "bad", "label": "A>B", "source": "livecodebench"}
        for c in (*small_votes(1), *small_votes(3, first=300))
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = tiebreak("evaluate", small_run.folder, path, "--benchmark", "judgebench", "--json")
    assert json.loads(done.stdout)["training_overlap"] == {"rows": 1, "share": 0.25}, done.stderr
    assert "1 of 4 rows have prompts that" in done.stderr


def test_rewards_of_many_answers(small_run: TrainingResult, small_rewards: TrainingResult, tmp_path: Path) -> None:
    path = tmp_path / "best.jsonl"
    rows = [
        {"id": f"{kind}:{i}", "prompt": f"question {i} ?", "chosen": chosen, "rejected": ["bad", "bad answer"],
         "num_correct": len(chosen), "subset": "Ties"}
        for i in range(3)
        for kind, chosen in (("ref", ["good good"]), ("tied", ["good", "good good"]))
    ]  # fmt: skip
    rows.append(
        {"id": "1", "prompt": "question 7 ?", "chosen": ["good"], "rejected": ["bad", "bad bad", "plain"],
         "num_correct": 1, "subset": "Math"}
    )  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for run in (small_run, small_rewards):
        done = tiebreak("evaluate", run.folder, "--benchmark", path, "--json")
        assert done.returncode == 0, done.stderr
        scores = {score["name"]: score["value"] for score in json.loads(done.stdout)["scores"]}
        assert scores["RewardBench 2"] == pytest.approx((scores["Ties"] + scores["Math"]) / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark", "rewardbenhc"], "no benchmark or file 'rewardbenhc'"),
        (["--benchmark", "llmbar", "--swap", "average"], "leave it out with --benchmark"),
        (["--benchmark", "llmbar", "--bias"], "leave it out with --benchmark"),
    ],
)
def test_mistakes_are_explained(small_run: TrainingResult, arguments: list[str], message: str) -> None:
    done = tiebreak("evaluate", small_run.folder, *arguments, COLUMNS="200")
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_both_orders_are_what_their_mean_is_of(small_run: TrainingResult) -> None:
    judge = load_judge(small_run.folder.path)
    asked = small_votes(7, first=500)
    orders = judge.compare_orders(asked)
    for (given, other), mean, alone in zip(
        orders, probabilities(judge, asked, swap="average"), probabilities(judge, asked), strict=True
    ):
        assert (given.model_a + other.model_a) / 2 == pytest.approx(mean[0], abs=1e-9)
        assert (given.tie + other.tie) / 2 == pytest.approx(mean[2], abs=1e-9)
        assert given.model_b == pytest.approx(alone[1], abs=1e-6)
    assert any(abs(given.model_a - other.model_a) > 1e-4 for given, other in orders)
