"""Baselines: exactly symmetric, stored without pickles, and better than the shares of the votes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiebreak.baselines import Baseline, fit_baseline, load_baseline, save_baseline
from tiebreak.baselines.boosted_trees import BoostedTrees
from tiebreak.baselines.features import ANSWER_FEATURES, SHARED_FEATURES, extract_features
from tiebreak.baselines.vectorizers import TextVectorizer, TopicModel
from tiebreak.errors import DataError, RunError
from tiebreak.metrics import preference_metrics
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison

KINDS = ("prior", "length", "tfidf", "trees")
SMALL: dict[str, Any] = {
    "c": 0.3, "min_df": 2, "max_words": 500, "topics": 3, "stacked": True, "bags": 2, "max_iter": 15,
    "learning_rate": 0.2, "max_leaf_nodes": 6, "min_samples_leaf": 5, "l2_regularization": 1.0, "max_features": 0.5,
    "seed": 0, "log": lambda _: None,
}  # fmt: skip
WORDS = ["apple", "river", "stone", "cloud", "engine", "paper", "window", "garden", "music", "number"]


def simulated(rows: int, *, seed: int = 0) -> list[Comparison]:
    """Votes of people who prefer long answers and call answers of similar length a tie."""
    draw = np.random.default_rng(seed)
    votes = []
    for i in range(rows):
        lengths = draw.integers(1, 40, 2)
        a, b = (" ".join(draw.choice(WORDS, n)) for n in lengths)
        gap = (lengths[0] - lengths[1]) + draw.normal(0, 6)
        vote = TIE if abs(gap) < 4 else A_WINS if gap > 0 else B_WINS
        votes.append(Comparison((f"Tell me of {WORDS[i % 10]} {i // 2}.",), (a,), (b,), vote, id=str(i)))
    return votes


@pytest.fixture(scope="module")
def fitted() -> dict[str, Baseline]:
    return {kind: fit_baseline(kind, simulated(200), **SMALL) for kind in KINDS}


TEXT = st.text(st.sampled_from("aA bB.\n#*`-1|?!é漢\ud83d\x00"), max_size=60)


@given(TEXT, TEXT, TEXT)
@settings(max_examples=80, deadline=None)
def test_swapping_a_comparison_swaps_its_features_exactly(prompt: str, a: str, b: str) -> None:
    comparison = Comparison((prompt,), (a,), (b,))
    plain, swapped = extract_features([comparison]), extract_features([comparison.swap()])
    assert (plain.a.shape, plain.shared.shape) == ((1, len(ANSWER_FEATURES)), (1, len(SHARED_FEATURES)))
    assert np.isfinite(np.hstack([plain.shared, plain.a, plain.b])).all()
    np.testing.assert_array_equal(plain.shared, swapped.shared)
    np.testing.assert_array_equal(plain.a, swapped.b)
    np.testing.assert_array_equal(plain.b, swapped.a)


def test_features_say_what_they_are_called() -> None:
    answer = "# Plan\n\nSorry, I can't. See https://x.org\n- one\n- two\n```\nx = 1\n```\n**Done**?"
    features = extract_features([Comparison(("Write code: 1 + 2?",), (answer,), ("same same same same same",))])
    a = dict(zip(ANSWER_FEATURES, features.a[0], strict=True))
    b = dict(zip(ANSWER_FEATURES, features.b[0], strict=True))
    shared = dict(zip(SHARED_FEATURES, features.shared[0], strict=True))
    counts = {name: round(np.expm1(a[name])) for name in ANSWER_FEATURES}
    assert counts["characters"] == len(answer)
    for name, count in (
        ("headings", 1), ("apologies", 1), ("refusals", 1), ("links", 1), ("bullets", 2), ("code_fences", 2),
        ("bold", 1), ("question_marks", 1), ("first_person", 1), ("tables", 0), ("lines", 8), ("paragraphs", 1),
    ):  # fmt: skip
        assert counts[name] == count, name
    assert (a["ends_asking"], b["ends_asking"]) == (1, 0)
    assert b["variety"] == pytest.approx(1 / 5)
    assert b["trigram_repetition"] == pytest.approx(2 / 3)
    assert b["numbers_from_prompt"] == 0
    assert a["numbers_from_prompt"] == 0.5
    assert (shared["asks_code"], shared["asks_to_write"], shared["asks_summary"], shared["identical"]) == (1, 1, 0, 0)
    alike = extract_features([Comparison(("p",), ("x y",), ("x y",))])
    assert dict(zip(SHARED_FEATURES, alike.shared[0], strict=True))["identical"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_swapping_a_comparison_swaps_its_probabilities_to_the_last_bit(kind: str, fitted: dict[str, Baseline]) -> None:
    rows = [*simulated(40, seed=1), Comparison(("",), ("",), ("",)), Comparison(("p", "q"), ("a", "b"), ("", "c"))]
    probabilities = fitted[kind].probabilities(rows)
    swapped = fitted[kind].probabilities([row.swap() for row in rows])
    np.testing.assert_array_equal(probabilities, swapped[:, [1, 0, 2]])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert probabilities.min() > 0
    assert fitted[kind].probabilities([]).shape == (0, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_verdict_depends_on_nothing_but_its_comparison(kind: str, fitted: dict[str, Baseline]) -> None:
    rows = simulated(20, seed=2)
    together = fitted[kind].probabilities(rows)
    np.testing.assert_array_equal(together, np.concatenate([fitted[kind].probabilities([row]) for row in rows]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_comes_back_to_the_last_bit(kind: str, fitted: dict[str, Baseline], tmp_path: Path) -> None:
    rows = simulated(40, seed=3)
    save_baseline(tmp_path / "model", fitted[kind], {"C": 0.3}, None)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["arrays.safetensors", "baseline.json"]
    stored = load_baseline(tmp_path / "model")
    assert (stored.card.kind, stored.card.settings) == (kind, {"C": 0.3})
    np.testing.assert_array_equal(stored.baseline.probabilities(rows), fitted[kind].probabilities(rows))
    assert stored.baseline.feature_names == fitted[kind].feature_names


def test_trees_use_the_features_that_decide_the_votes(fitted: dict[str, Baseline]) -> None:
    import lightgbm

    state = fitted["trees"].state()
    names = fitted["trees"].feature_names
    assert len(set(names)) == len(names)
    booster = lightgbm.Booster(model_str=state["trees.0.lightgbm"].tobytes().decode())
    used = {names[state["trees.0.columns"][i]] for i in np.flatnonzero(booster.feature_importance())}
    assert used & {"characters: a - b", "words: a - b", "distinct_words: a - b"}


def test_equal_seeds_give_equal_trees(fitted: dict[str, Baseline]) -> None:
    rows = simulated(20, seed=6)
    again = fit_baseline("trees", simulated(200), **SMALL)
    np.testing.assert_array_equal(again.probabilities(rows), fitted["trees"].probabilities(rows))
    other = fit_baseline("trees", simulated(200), **(SMALL | {"seed": 1}))
    assert (other.probabilities(rows) != fitted["trees"].probabilities(rows)).any()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_each_beats_the_shares_where_people_like_length(kind: str, fitted: dict[str, Baseline]) -> None:
    rows = simulated(200, seed=4)
    votes = [row.vote for row in rows if row.vote is not None]
    prior, judge = (preference_metrics(fitted[k].probabilities(rows), votes) for k in ("prior", kind))
    assert prior["loss"] == pytest.approx(1.06, abs=0.04)
    assert judge["loss"] < prior["loss"] - 0.2
    assert judge["accuracy"] > 0.65


@pytest.mark.parametrize("ties", [True, False])
def test_trees_learn_as_fast_as_scikit_learns(ties: bool) -> None:
    """The learning rate and the L2 penalty mean the same, although LightGBM scales the Hessian otherwise."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    draw = np.random.default_rng(0)
    rows = draw.normal(size=(1000, 4)).round(1)
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] + draw.normal(size=1000) > 0).astype(int)
    labels += ties * (rows[:, 3] > 0.5)
    unseen = draw.normal(size=(300, 4))
    for max_iter in (3, 30):
        trees = BoostedTrees.fit(
            rows, np.eye(3)[labels], np.arange(4), max_iter=max_iter, learning_rate=0.1, max_leaf_nodes=8,
            min_samples_leaf=20, l2_regularization=5.0, max_features=1.0, seed=0,
        )  # fmt: skip
        model = HistGradientBoostingClassifier(
            max_iter=max_iter, learning_rate=0.1, max_leaf_nodes=8, l2_regularization=5.0, early_stopping=False
        ).fit(rows, labels)
        probabilities = trees.probabilities(unseen)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
        difference = np.abs(probabilities[:, : 2 + ties] - model.predict_proba(unseen)).mean()
        assert difference < (0.01 if max_iter == 3 else 0.02)


def test_word_weights_follow_the_formula() -> None:
    vectorizer = TextVectorizer.fit(["Red red blue", "blue", "green blue blue blue"], min_df=1, max_words=2)
    assert vectorizer is not None
    assert vectorizer.words == ("blue", "red")
    weights = vectorizer.transform(["red RED blue", "other"]).toarray() * vectorizer.scale
    np.testing.assert_allclose(weights, [[1.0, (1 + np.log(2)) * (np.log(4 / 2) + 1)], [0, 0]])
    restored = TextVectorizer.from_state(vectorizer.state())
    np.testing.assert_array_equal(restored.transform(["red RED blue"]).toarray(), [weights[0] / vectorizer.scale])
    topics = TopicModel.fit(["red blue"], vectorizer, 5, 0)
    assert topics.transform(["blue"])[1].shape == (1, 0)
    assert TextVectorizer.fit(["one", "two"], min_df=2, max_words=5) is None
    assert TextVectorizer.fit(["", "!"], min_df=1, max_words=5) is None


def test_soft_votes_count_by_their_shares() -> None:
    rows = [Comparison(("p",), ("long answer",), ("x",), (0.5, 0.25, 0.25))] * 4
    probabilities = fit_baseline("prior", rows, **SMALL).probabilities(rows[:1])
    np.testing.assert_allclose(probabilities, [[(0.375 * 4 + 1) / 7, (0.375 * 4 + 1) / 7, (0.25 * 4 + 1) / 7]])
    length = fit_baseline("length", rows * 5, **(SMALL | {"c": 1000.0})).probabilities(rows[:1])
    np.testing.assert_allclose(length, [[11 / 23, 6 / 23, 6 / 23]], atol=0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["one row", "one class", "empty answers"])
def test_thin_votes_are_learned_from(kind: str, what: str) -> None:
    rows = {
        "one row": simulated(1),
        "one class": [row for row in simulated(60) if row.vote == A_WINS],
        "empty answers": [Comparison((f"say {i}",), ("",), ("say",), B_WINS) for i in range(12)],
    }[what]
    probabilities = fit_baseline(kind, rows, **(SMALL | {"min_df": 1})).probabilities(simulated(5, seed=5))
    assert np.isfinite(probabilities).all()
    assert probabilities.min() > 0


def test_what_cannot_be_learned_from_is_said() -> None:
    ties = [Comparison(("p",), ("a",), ("b",), TIE)] * 3
    assert fit_baseline("prior", ties, **SMALL).probabilities(ties)[0, 2] == pytest.approx(4 / 6)
    with pytest.raises(DataError, match=r"All 3 training votes are ties.*baseline\.kind=prior"):
        fit_baseline("trees", ties, **SMALL)
    with pytest.raises(DataError, match="0 of 0 comparisons have a vote"):
        fit_baseline("length", [], **SMALL)
    with pytest.raises(DataError, match=r"No word occurs in 2 or more .*baseline\.min_df"):
        fit_baseline("tfidf", [Comparison(("one",), ("two",), ("three",), A_WINS)], **SMALL)


def test_a_damaged_folder_is_refused(fitted: dict[str, Baseline], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_baseline(folder, fitted["length"], {}, None)
    arrays = (folder / "arrays.safetensors").read_bytes()
    (folder / "arrays.safetensors").write_bytes(arrays[:-9])
    with pytest.raises(RunError, match=r"arrays\.safetensors cannot be read"):
        load_baseline(folder)
    (folder / "arrays.safetensors").write_bytes(arrays)
    card = json.loads((folder / "baseline.json").read_text())
    (folder / "baseline.json").write_text(json.dumps(card | {"features": ["other"]}))
    with pytest.raises(RunError, match="other features"):
        load_baseline(folder)
    (folder / "baseline.json").write_text(json.dumps(card | {"kind": "forest"}))
    with pytest.raises(RunError, match=r"baseline\.json cannot be read by this version"):
        load_baseline(folder)
