"""Baselines in a run's folder: fitted once, fitted again when votes change, compared only on the same rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.workflows.runs import VOTES, comparisons, write_run
from tiebreak.data import write_comparisons
from tiebreak.recipe import BaselineSection, DataSection, Recipe, dump_recipe, load_recipe
from tiebreak.runs import RunFolder
from tiebreak.workflows import baselines
from tiebreak.workflows.baselines import BASELINE_NAMES, fit_baselines_beside, read_baselines
from tiebreak.workflows.predictions import read_run_predictions

FAST = ("prior", "length")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of boosted trees, which has faster baselines beside it: two of them, to be quick."""
    monkeypatch.setattr(baselines, "BASELINE_NAMES", {kind: BASELINE_NAMES[kind] for kind in (*FAST, "trees")})
    rows = comparisons(VOTES * 3)
    write_comparisons(tmp_path / "train.csv", comparisons(VOTES * 10))
    write_comparisons(tmp_path / "validation.csv", rows)
    write_run(tmp_path / "run", rows)
    write_recipe(tmp_path)
    return RunFolder(tmp_path / "run")


def write_recipe(folder: Path, **data: object) -> None:
    section = DataSection(train=folder / "train.csv", validation=folder / "validation.csv").model_copy(update=data)
    recipe = Recipe(baseline=BaselineSection(kind="trees"), data=section, output=folder / "run")
    (folder / "run" / "recipe.yaml").write_text(dump_recipe(recipe))


def fitted(run: RunFolder, **options: bool) -> list[str]:
    """What is logged."""
    log: list[str] = []
    fit_baselines_beside(run.path, log=log.append, **options)
    return log


def test_baselines_are_kept_until_votes_or_files_change(run: RunFolder, tmp_path: Path) -> None:
    assert fitted(run) == [f"Fitting a baseline: {BASELINE_NAMES[kind]}." for kind in FAST]
    assert fitted(run) == []
    predictions = read_run_predictions(run.path)
    kept = read_baselines(run, predictions)
    assert {kind: baseline.name for kind, baseline in kept.items()} == {kind: BASELINE_NAMES[kind] for kind in FAST}
    assert all(baseline.ids == predictions.ids for baseline in kept.values())
    write_recipe(tmp_path, train_rows=20)
    assert len(fitted(run)) == 2
    (run.baselines / "length" / "predictions.parquet").write_text("no parquet")
    assert list(read_baselines(run, predictions)) == ["prior"]
    assert len(fitted(run)) == 1
    later = (run.baselines / "length" / "metrics.json").stat().st_mtime + 9
    os.utime(tmp_path / "train.csv", (later, later))
    assert len(fitted(run)) == 2


def test_trees_are_fitted_to_many_votes_only_on_request(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "MAX_VOTES_FOR_TREES", 20)
    card = run.model / "baseline.json"
    card.write_text(card.read_text().replace("trees", "tfidf"))
    [*_, last] = fitted(run)
    assert "Boosted trees were not fitted: 30 votes take minutes" in last
    assert f"tiebreak report {run} --baselines" in last
    assert fitted(run, trees=True) == [f"Fitting a baseline: {BASELINE_NAMES['trees']}."]
    assert list(read_baselines(run, read_run_predictions(run.path))) == [*FAST, "trees"]


def test_baselines_on_other_votes_are_not_compared(run: RunFolder, tmp_path: Path) -> None:
    write_comparisons(tmp_path / "validation.csv", comparisons([VOTES[2]] * 9))
    assert "was validated on other votes than the run" in fitted(run)[-1]
    assert read_baselines(run, read_run_predictions(run.path)) == {}


def test_votes_that_are_gone_are_logged(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "train.csv").unlink()
    [line] = [line for line in fitted(run) if "not fitted" in line]
    assert "train.csv does not exist" in line
    run.recipe.unlink()
    assert fitted(run) == [f"No baselines were fitted: {run} does not name the votes that it learned from."]


def test_baselines_have_the_settings_of_the_shipped_recipes() -> None:
    for kind in BASELINE_NAMES:
        assert load_recipe(f"baseline-{kind}").baseline == BaselineSection(kind=kind)
