"""Baselines in a run's folder: fitted once, fitted again when votes change, compared only on the same rows."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.workflows.runs import VOTES, comparisons, write_run
from tiebreak.data import write_comparisons
from tiebreak.errors import RunError
from tiebreak.recipe import BaselineSection, DataSection, Recipe, dump_recipe, load_recipe
from tiebreak.runs import RunFolder, write_predictions
from tiebreak.training.resume import recorded_fold
from tiebreak.training.splits import split_votes
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


@pytest.mark.parametrize(("environment", "fold"), [({}, 1), ({"prompt_fold": 2}, 2)])
def test_baselines_split_the_votes_as_the_run_did(
    run: RunFolder, tmp_path: Path, environment: dict[str, int], fold: int
) -> None:
    """Prompts that differ in punctuation are one group only for runs of the new fold."""
    rows = [
        replace(row, prompt=(f"prompt {i // 3}{'.?!'[i % 3]}",), id=str(i))
        for i, row in enumerate(comparisons(VOTES * 20))
    ]
    write_comparisons(tmp_path / "train.csv", rows)
    data = DataSection(train=tmp_path / "train.csv", validation_rows=21, problem_rows="keep")
    _, validation, _ = split_votes(data, print, fold)
    assert (len({row.folded_prompt for row in validation}) == 7) == (fold == 2)
    run.recipe.write_text(dump_recipe(Recipe(baseline=BaselineSection(kind="trees"), data=data, output=run.path)))
    run.environment.write_text(json.dumps(environment))
    write_predictions(run.predictions, validation, np.full((len(validation), 3), 1 / 3))
    assert not [line for line in fitted(run) if "not fitted" in line]
    assert list(read_baselines(run, read_run_predictions(run.path))) == list(FAST)
    written = json.loads(RunFolder(run.baselines / "length").environment.read_text())
    assert written["prompt_fold"] == fold


def test_a_run_of_a_newer_fold_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert recorded_fold(run) == 1
    run.environment.write_text('{"prompt_fold": 3}')
    with pytest.raises(RunError, match=r"newer version of Tiebreak \(prompt_fold 3\). Install that version"):
        recorded_fold(run)
