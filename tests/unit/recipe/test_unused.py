"""Settings without an effect are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiebreak import load_recipe, train
from tiebreak.data import write_comparisons
from tiebreak.recipe import shipped_recipes, unused_settings
from tiebreak.types import A_WINS, B_WINS, Comparison


@pytest.mark.parametrize(
    ("overrides", "unused"),
    [
        (["baseline.kind=length", "baseline.max_iter=50", "baseline.C=1"], ["baseline.max_iter"]),
        (["baseline.kind=prior", "baseline.C=1", "baseline.topics=0"], ["baseline.C", "baseline.topics"]),
        (["baseline.kind=tfidf", "baseline.min_df=2", "baseline.bags=1"], ["baseline.bags"]),
        (["baseline.kind=trees", "baseline.min_df=2", "baseline.bags=1", "baseline.seed=3"], []),
        (["baseline.kind=length", "baseline.seed=3"], []),  # one seed for a comparison of kinds
        (["model.name=nano", "model.revision=main"], ["model.revision=main"]),
        (["model.name=TMP", "model.revision=main"], ["model.revision=main"]),
        (["model.name=google/gemma-2-2b", "model.revision=main"], []),
    ],
)
def test_unused_settings(overrides: list[str], unused: list[str], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("{}\n")
    notes = unused_settings(load_recipe(path, [text.replace("TMP", str(tmp_path)) for text in overrides]))
    assert [note.partition(" has no effect")[0] for note in notes] == unused


def test_shipped_recipes_have_none() -> None:
    assert [unused_settings(load_recipe(name)) for name in shipped_recipes()] == [[] for _ in shipped_recipes()]


def test_training_names_them(tmp_path: Path) -> None:
    votes = [Comparison((f"p{i}",), ("a b",), ("c",), (A_WINS, B_WINS)[i % 2], id=str(i)) for i in range(20)]
    write_comparisons(tmp_path / "votes.csv", votes)
    (tmp_path / "recipe.yaml").write_text("baseline: {kind: prior, C: 3}\n")
    log: list[str] = []
    train(load_recipe(tmp_path / "recipe.yaml", [f"data.train={tmp_path / 'votes.csv'}", f"output={tmp_path / 'run'}"]),
          log=log.append)  # fmt: skip
    assert sum("baseline.C has no effect with baseline.kind=prior" in line for line in log) == 1
