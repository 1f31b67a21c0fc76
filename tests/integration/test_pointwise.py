"""A pointwise run from votes to rewards: what was trained is what scores, and nothing else has a say in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.integration.conftest import small_votes, tiebreak
from tiebreak import (
    Comparison,
    ComparisonsError,
    Conversation,
    DataError,
    Judge,
    ModelError,
    RecipeError,
    load_judge,
    train,
)
from tiebreak.data import load_comparisons
from tiebreak.data.writer import write_comparisons
from tiebreak.metrics import cross_entropies
from tiebreak.models import read_card
from tiebreak.training import TrainingResult
from tiebreak.types import A_WINS

WINNERS = ["winner_model_a", "winner_model_b", "winner_tie"]


@pytest.fixture(scope="module")
def judge(small_rewards: TrainingResult) -> Judge:
    return load_judge(small_rewards.folder.path)


def test_reload_equals_memory(small_rewards: TrainingResult, judge: Judge, votes: tuple[Path, Path]) -> None:
    """Probabilities and rewards that a run kept come out of the reloaded judge; the card says what they mean."""
    kept = pd.read_parquet(small_rewards.folder.predictions)
    comparisons = load_comparisons(votes[1], votes="required")
    verdicts = np.array([(v.model_a, v.model_b, v.tie) for v in judge.compare_many(comparisons)])
    np.testing.assert_allclose(kept[WINNERS], verdicts, atol=1e-6)
    scores = judge.score_many([side for c in comparisons for side in c.conversations])
    np.testing.assert_allclose(kept[["reward_a", "reward_b"]].to_numpy().ravel(), [s.reward for s in scores], atol=1e-5)
    card = read_card(small_rewards.folder.model)
    assert card.head == "pointwise"
    assert card.rewards is not None
    assert card.rewards.mean == pytest.approx(np.mean([s.reward for s in scores]), abs=1e-5)
    assert card.rewards.deviation == pytest.approx(np.std([s.reward for s in scores]), abs=1e-5)
    assert np.mean([s.normalised for s in scores]) == pytest.approx(0, abs=1e-5)
    assert np.std([s.normalised for s in scores]) == pytest.approx(1, abs=1e-5)
    saved = load_file(small_rewards.folder.model / "adapter_model.safetensors")
    [tie] = [value for name, value in saved.items() if name.endswith("tie_parameter")]
    assert float(tie) == pytest.approx(card.rewards.tie_parameter, abs=1e-6)
    assert small_rewards.metrics["reward_deviation"] == card.rewards.deviation
    loss = cross_entropies(verdicts, [c.vote for c in comparisons if c.vote is not None]).mean()
    assert loss == pytest.approx(small_rewards.metrics["loss"], abs=1e-5)


def test_a_verdict_is_the_tie_model_of_two_rewards(small_rewards: TrainingResult, judge: Judge) -> None:
    a, b = judge.score("question 1 ?", "good answer"), judge.score("question 1 ?", "bad answer")
    verdict = judge.compare("question 1 ?", "good answer", "bad answer")
    card = read_card(small_rewards.folder.model)
    assert card.rewards is not None
    nu = np.exp(card.rewards.tie_parameter)
    odds = np.array([np.exp(a.reward), np.exp(b.reward), nu * np.exp((a.reward + b.reward) / 2)])
    np.testing.assert_allclose([verdict.model_a, verdict.model_b, verdict.tie], odds / odds.sum(), atol=1e-5)
    swapped = judge.compare("question 1 ?", "bad answer", "good answer", swap="average")
    assert [swapped.model_b, swapped.model_a] == pytest.approx([verdict.model_a, verdict.model_b], abs=1e-6)
    assert a.reward > b.reward  # it learned something


words = st.lists(st.sampled_from(["good", "bad", "plain", "answer", "question", "1", "2"]), max_size=12).map(" ".join)
sides = st.lists(st.tuples(st.sampled_from(["question 1 ?", "question 2 ?", ""]), words), min_size=1, max_size=10)


@settings(max_examples=25, deadline=None)
@given(asked=sides, budget=st.integers(64, 400), data=st.data())
def test_a_score_never_depends_on_what_else_is_in_the_batch(
    judge: Judge, asked: list[tuple[str, str]], budget: int, data: st.DataObject
) -> None:
    """Random packs: any neighbours, any budget, any grouping, any order."""
    conversations = [Conversation((prompt,), (answer,)) for prompt, answer in asked]
    alone = [judge.score_many([conversation])[0].reward for conversation in conversations]
    order = data.draw(st.permutations(range(len(asked))))
    groups = data.draw(st.none() | st.lists(st.integers(0, 2), min_size=len(asked), max_size=len(asked)))
    before = judge._reader.budget.tokens
    judge._reader.budget.tokens = budget
    try:
        together = judge.score_many([conversations[i] for i in order], groups=groups)
    finally:
        judge._reader.budget.tokens = before
    np.testing.assert_allclose([score.reward for score in together], [alone[i] for i in order], atol=1e-5)


def test_many_answers_to_a_prompt_are_ranked_by_their_rewards(judge: Judge) -> None:
    answers = ["bad", "good answer", "bad answer", "plain", "good good", "good answer"]
    ranking = judge.rank("question 1 ?", answers)
    scores = [judge.score("question 1 ?", answer) for answer in answers]
    np.testing.assert_allclose(ranking.rewards, [score.reward for score in scores], atol=1e-5)
    np.testing.assert_allclose(ranking.normalised or (), [score.normalised for score in scores], atol=1e-5)
    assert ranking.comparisons == 0
    assert ranking.ranks[1] == ranking.ranks[5]  # the same text
    assert ranking.rewards[ranking.best] == max(ranking.rewards)
    assert judge.rank("question 1 ?", ["good"]).ranks == (1,)
    with pytest.raises(ComparisonsError, match="no answers"):
        judge.rank("question 1 ?", [])
    with pytest.raises(ValueError, match="as many answers as prompts"):
        judge.rank("question 1 ?", ["good", ["good", "good"]])


def test_a_judge_of_pairs_says_that_it_has_no_rewards(small_run: TrainingResult, tmp_path: Path) -> None:
    judge = load_judge(small_run.folder.path)
    with pytest.raises(ModelError, match=r"no reward for a single one.*model.head=pointwise"):
        judge.score("question 1 ?", "good")
    data = tmp_path / "answers.jsonl"
    data.write_text(json.dumps({"prompt": "question 1 ?", "response": "good"}) + "\n")
    shown = tiebreak("score", small_run.folder, data, "-o", tmp_path / "scores.parquet")
    assert shown.returncode == 1
    stderr = " ".join(shown.stderr.split())
    assert "has one answer a row. This judge compares answers" in stderr
    assert "model.head=pointwise" in stderr


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_score_writes_a_row_an_answer(judge: Judge, small_rewards: TrainingResult, tmp_path: Path, ending: str) -> None:
    data, out = tmp_path / "answers.jsonl", tmp_path / f"rewards.{ending}"
    answers = ["good", "bad", "plain answer"]
    rows = [{"id": f"q{i}", "prompt": "question 1 ?", "response": answer} for i, answer in enumerate(answers)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = tiebreak("score", small_rewards.folder, data, "-o", out, "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["answers"] == 3
    frame = {"parquet": pd.read_parquet, "csv": pd.read_csv, "jsonl": lambda p: pd.read_json(p, lines=True)}[ending](
        out
    )
    assert list(frame.columns) == ["id", "reward", "normalised"]
    assert list(frame["id"]) == ["q0", "q1", "q2"]
    np.testing.assert_allclose(frame["reward"], [judge.score("question 1 ?", a).reward for a in answers], atol=1e-5)


def test_score_ranks_lists_and_names_the_best(small_rewards: TrainingResult, tmp_path: Path) -> None:
    data, out = tmp_path / "candidates.jsonl", tmp_path / "scores.parquet"
    lists = [["bad", "good answer"], ["good"], ["plain", "bad answer", "good good"]]
    rows = [{"prompt": f"question {i} ?", "responses": answers} for i, answers in enumerate(lists)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = tiebreak("score", small_rewards.folder, data, "-o", out)
    assert shown.returncode == 0, shown.stderr
    assert "3 prompts, 6 answers" in " ".join(shown.stdout.split())
    frame = pd.read_parquet(out)
    assert list(frame.columns) == ["id", "rewards", "normalised", "ranks", "best", "best_response"]
    for answers, row in zip(lists, frame.itertuples(), strict=True):
        assert int(np.argmax(row.rewards)) == row.best
        assert row.best_response == answers[row.best]
        assert sorted(row.ranks)[0] == 1


def test_the_judging_verbs_take_a_reward_model(small_rewards: TrainingResult, votes: tuple[Path, Path]) -> None:
    shown = tiebreak("evaluate", small_rewards.folder, votes[1], "--json", "--swap", "average")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["loss"] == pytest.approx(small_rewards.metrics["loss"], abs=1e-5)
    shown = tiebreak("judge", small_rewards.folder, "--prompt", "question", "--a", "good", "--b", "bad", "--json")
    verdict = json.loads(shown.stdout)
    assert verdict["reward_a"] > verdict["reward_b"]
    assert verdict["answer"] == "model_a"


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_a_merged_reward_model_is_near_the_trained_one(
    small_rewards: TrainingResult, judge: Judge, precision: Any
) -> None:
    merged = load_judge(small_rewards.folder.path, merge=precision)
    conversations = [side for c in small_votes(10) for side in c.conversations]
    trained, near = (np.array([s.reward for s in j.score_many(conversations)]) for j in (judge, merged))
    # A reward between the two clusters of this tiny judge may move far: the base was in 4 bits in training.
    assert 0 < np.quantile(np.abs(trained - near), 0.75) < 0.1 * trained.std()


def test_resuming_leads_to_the_same_rewards(small_recipe: Any, tmp_path: Path, small_rewards: TrainingResult) -> None:
    """Stopped at a checkpoint and taken up again: the tie parameter and its optimiser's state come back too."""
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 8:
                raise KeyboardInterrupt

    recipe = small_recipe("model.head=pointwise")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, callbacks=[Stop()])
    resumed = train(recipe, resume=True)
    assert resumed.metrics == small_rewards.metrics
    once, again = (load_file(r.folder.model / "adapter_model.safetensors") for r in (small_rewards, resumed))
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_a_run_goes_on_from_an_earlier_one_of_the_same_kind_only(
    small_recipe: Any, small_rewards: TrainingResult, small_run: TrainingResult, tmp_path: Path
) -> None:
    start = f"model.start_from={small_rewards.folder}"
    card = read_card(small_rewards.folder.model)
    assert card.rewards is not None
    later = train(small_recipe("model.head=pointwise", start, "training.max_steps=1", "training.learning_rate=1e-9"))
    assert later.metrics["loss"] == pytest.approx(small_rewards.metrics["loss"], abs=1e-4)
    assert later.metrics["tie_parameter"] == pytest.approx(card.rewards.tie_parameter, abs=1e-4)
    with pytest.raises(ModelError, match=r"has a pairwise head, not a pointwise one: set model.head=pairwise"):
        train(small_recipe("model.head=pointwise", f"model.start_from={small_run.folder}", output=tmp_path / "b"))
    with pytest.raises(ModelError, match=r"trained with davidson, not with rao-kupper: set model.tie_model=davidson"):
        train(small_recipe("model.head=pointwise", "model.tie_model=rao-kupper", start, output=tmp_path / "c"))


def test_votes_without_ties_train_bradley_and_terry_with_margins(
    small_recipe: Any, tmp_path: Path, votes: tuple[Path, Path]
) -> None:
    with pytest.raises(DataError, match=r"30 of 90 votes give a tie some share.*knows no ties.*davidson or rao-kupper"):
        train(small_recipe("model.head=pointwise", "model.tie_model=bradley-terry"))
    decided = [replace(c, margin=1.5 if c.vote == A_WINS else 0.0) for c in small_votes(90) if c.vote and not c.vote[2]]
    data, held_out = tmp_path / "decided.csv", tmp_path / "held-out.csv"
    write_comparisons(data, decided)
    write_comparisons(held_out, [c for c in small_votes(30, first=90) if c.vote and not c.vote[2]])
    mine = (f"data.train={data}", f"data.validation={held_out}", "training.max_steps=6")
    log: list[str] = []
    result = train(small_recipe("model.head=pointwise", "model.tie_model=bradley-terry", *mine), log=log.append)
    assert not any("margin" in sentence for sentence in log)
    verdict = load_judge(result.folder.path).compare("question 1 ?", "good answer", "bad answer")
    assert verdict.tie == 0
    assert verdict.model_a + verdict.model_b == pytest.approx(1)
    assert result.metrics["tie_parameter"] == 0
    train(small_recipe("model.head=pointwise", *mine, output=tmp_path / "davidson"), log=log.append)
    assert any("30 votes with a margin: the margins are ignored" in sentence for sentence in log)


def test_settings_that_do_not_go_together_are_refused(small_recipe: Any) -> None:
    for wrong, message in (
        (["model.head=pointwise", "training.both_orders=true"], "rewards are the same in both orders"),
        (["model.tie_model=rao-kupper"], "goes with model.head=pointwise"),
        (["training.center_rewards_coefficient=0.1"], "goes with model.head=pointwise"),
        (
            ["model.head=pointwise", "training.tokens_per_pass=100", "text.max_length=64"],
            r"twice text.max_length \(64\) is more than training.tokens_per_pass \(100\)",
        ),
    ):
        with pytest.raises(RecipeError, match=message):
            small_recipe(*wrong)
    with pytest.raises(RecipeError, match=r"these are the slots of model.head=pairwise"):
        train(small_recipe("model.head=pointwise", "text.template={prompt} {response_a} {response_b}"))


def test_weights_that_are_not_finite_give_no_score(small_rewards: TrainingResult, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "broken"
    shutil.copytree(small_rewards.folder.path, run)
    path = run / "model" / "adapter_model.safetensors"
    weights = load_file(path)
    name = next(n for n in weights if "lora_B" in n)
    weights[name][0, 0] = float("nan")
    save_file(weights, path)
    with pytest.raises(ModelError, match="not finite for 1 of 1"):
        load_judge(run).score("question 1 ?", "good")


def test_long_answers_are_cut_and_counted(judge: Judge) -> None:
    score = judge.score("question 1 ?", "good " * 200)
    assert score.tokens_lost > 100
    assert np.isfinite(score.reward)
    comparison = Comparison(("question 1 ?",), ("good " * 200,), ("bad",))
    assert judge.compare_many([comparison])[0].tokens_lost == score.tokens_lost


def test_equal_answers_have_equal_rewards_to_the_last_bit(judge: Judge) -> None:
    done: list[int] = []
    conversations = [Conversation(("question 1 ?",), (answer,)) for answer in ["good", "bad", "good", "plain", "good"]]
    scores = judge.score_many(conversations, on_progress=done.append)
    assert scores[0] == scores[2] == scores[4]
    assert scores[0].reward != scores[1].reward
    assert sum(done) == 5
    verdict = judge.compare("question 1 ?", "good answer", "good answer")
    assert verdict.model_a == verdict.model_b
    assert judge.rank("question 1 ?", ["good"] * 3).ranks == (1, 1, 1)
