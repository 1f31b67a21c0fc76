"""Any number of answers, scored against each other by a judge of pairs."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.integration.conftest import tiebreak
from tiebreak import ComparisonsError, load_judge
from tiebreak.judges.tournament_ranking import ALL_PAIRS
from tiebreak.ranking import fit_rewards
from tiebreak.training import TrainingResult

ANSWERS = ["bad", "good answer", "bad answer", "plain", "good good"]


def test_a_ranking_is_the_fit_to_all_pairs_in_both_orders(small_run: TrainingResult) -> None:
    judge = load_judge(small_run.folder.path)
    ranking = judge.rank("question 1 ?", ANSWERS)
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    verdicts = [judge.compare("question 1 ?", ANSWERS[i], ANSWERS[j], swap="average") for i, j in pairs]
    fitted = fit_rewards(5, pairs, [(v.model_a, v.model_b, v.tie) for v in verdicts])
    np.testing.assert_allclose(ranking.rewards, fitted.rewards, atol=1e-4)
    assert ranking.comparisons == 10
    assert sum(ranking.rewards) == pytest.approx(0, abs=1e-9)
    order = sorted(range(5), key=lambda i: ranking.ranks[i])
    assert all(ranking.rewards[a] >= ranking.rewards[b] for a, b in pairwise(order))
    assert ranking.best == order[0]


def test_a_ranking_depends_neither_on_its_order_nor_on_its_neighbours(small_run: TrainingResult) -> None:
    judge = load_judge(small_run.folder.path)
    alone = judge.rank("question 1 ?", ANSWERS)
    back = judge.rank("question 1 ?", ANSWERS[::-1])
    np.testing.assert_allclose(alone.rewards, back.rewards[::-1], atol=1e-4)
    row = (("question 1 ?",), [(answer,) for answer in ANSWERS])
    other = (("question 2 ?",), [("good",), ("bad bad",)])
    done: list[int] = []
    together = judge.rank_many([other, row, other], on_progress=done.append)
    np.testing.assert_allclose(together[1].rewards, alone.rewards, atol=1e-5)
    assert together[0] == together[2]
    assert sum(done) == 3


def test_many_answers_meet_in_a_tournament_of_fewer_comparisons(small_run: TrainingResult) -> None:
    answers = [f"good answer {i}" if i % 2 else f"bad {i}" for i in range(ALL_PAIRS + 4)]
    ranking = load_judge(small_run.folder.path).rank("question 3 ?", answers)
    assert sorted(ranking.ranks)[0] == 1
    assert len(answers) <= ranking.comparisons < len(answers) * (len(answers) - 1) / 2


def test_what_is_no_list_of_answers_is_refused(small_run: TrainingResult) -> None:
    judge = load_judge(small_run.folder.path)
    with pytest.raises(ComparisonsError, match="at least one answer"):
        judge.rank("question", [])
    with pytest.raises(TypeError, match="give a list of answers"):
        judge.rank("question", "good")
    with pytest.raises(ValueError, match="as many answers on each side"):
        judge.rank("question", ["good", ["good", "good"]])
    assert judge.rank("question", ["good"]).rewards == (0.0,)


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_score_writes_a_row_a_prompt(small_run: TrainingResult, tmp_path: Path, ending: str) -> None:
    data, out = tmp_path / "candidates.jsonl", tmp_path / f"scores.{ending}"
    rows = [{"id": f"q{i}", "prompt": f"question {i} ?", "responses": ANSWERS[: 2 + i]} for i in range(3)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = tiebreak("score", small_run.folder, data, "-o", out)
    assert shown.returncode == 0, shown.stderr
    assert "3 prompts, 9 answers, 10 comparisons" in " ".join(shown.stdout.split())
    if ending == "parquet":
        frame = pd.read_parquet(out)
    elif ending == "jsonl":
        frame = pd.read_json(out, lines=True)
    else:
        frame = pd.read_csv(out, converters={"rewards": json.loads, "ranks": json.loads})
    assert list(frame.columns) == ["id", "rewards", "ranks", "best", "best_response", "comparisons"]
    assert list(frame["id"]) == ["q0", "q1", "q2"]
    expected = load_judge(small_run.folder.path).rank("question 2 ?", ANSWERS[:4])
    np.testing.assert_allclose(list(frame["rewards"].iloc[2]), expected.rewards, atol=1e-4)
    assert list(frame["ranks"].iloc[2]) == list(expected.ranks)
    assert frame["best"].iloc[2] == expected.best


def test_a_single_answer_cannot_be_scored_by_a_judge_of_pairs(small_run: TrainingResult, tmp_path: Path) -> None:
    data = tmp_path / "one.jsonl"
    data.write_text(json.dumps({"id": "lonely", "prompt": "question", "responses": ["good"]}) + "\n")
    shown = tiebreak("score", small_run.folder, data, "-o", tmp_path / "scores.parquet")
    assert shown.returncode == 1
    assert "1 row with a single answer (id lonely first)" in " ".join(shown.stderr.split())
    assert not (tmp_path / "scores.parquet").exists()
