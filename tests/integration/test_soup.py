"""Runs averaged into one: exactly what their adapters add, and measured beside its members."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.integration.conftest import small_overrides, tiebreak
from tiebreak import ModelError, RunError, load_judge, load_recipe, train
from tiebreak.data import load_comparisons
from tiebreak.errors import DataError
from tiebreak.metrics import preference_metrics
from tiebreak.models import load_base, load_trained, read_card
from tiebreak.runs import RunFolder, read_validation_rows, write_training_prompts, write_validation_rows
from tiebreak.training import TrainingResult
from tiebreak.workflows.soup import soup_runs
from tiebreak.workflows.vote_overlap import TrainingOverlap


@pytest.fixture(scope="module")
def other_seed(tiny_base: Path, votes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """The small run again with another seed and rank."""
    folder = tmp_path_factory.mktemp("run") / "other"
    settings = ("training.seed=7", "lora.r=4", "lora.lora_alpha=32", "lora.use_rslora=true")
    return train(load_recipe("demo", small_overrides(tiny_base, votes, folder, *settings)))


def merged(base: Path, run: TrainingResult | Path) -> dict[str, torch.Tensor]:
    """All weights of a run with its adapter merged into them."""
    folder = run if isinstance(run, Path) else run.folder.path
    model: Any = load_trained(load_base(str(base), precision="fp32", device=torch.device("cpu")), folder / "model")
    return dict(model.merge_and_unload().state_dict())


def test_a_soup_is_the_mean_of_its_members_weights(
    tiny_base: Path, votes: tuple[Path, Path], small_run: TrainingResult, other_seed: TrainingResult, tmp_path: Path
) -> None:
    soup = soup_runs([small_run.folder.path, other_seed.folder.path], tmp_path / "soup")
    one, two, mean = (merged(tiny_base, run) for run in (small_run, other_seed, tmp_path / "soup"))
    moved = 0
    for name, weight in mean.items():
        torch.testing.assert_close(weight, (one[name] + two[name]) / 2, atol=1e-6, rtol=1e-5)
        moved += not torch.equal(one[name], two[name])
    assert moved > 10
    assert soup.rank == 16 + 4
    comparisons = load_comparisons(votes[1], votes="required")
    labels = [c.vote for c in comparisons if c.vote is not None]
    verdicts = load_judge(tmp_path / "soup").compare_many(comparisons)
    probabilities = np.array([(v.model_a, v.model_b, v.tie) for v in verdicts])
    assert preference_metrics(probabilities, labels)["loss"] == pytest.approx(soup.metrics["loss"], abs=1e-5)
    kept = read_validation_rows(soup.folder)
    assert kept is not None
    assert kept.comparisons == list(comparisons)
    assert soup.members[str(small_run.folder)] == pytest.approx(small_run.metrics["loss"], abs=1e-5)
    assert soup.training_overlap == TrainingOverlap(0, 30)
    assert soup.gain == pytest.approx(min(soup.members.values()) - soup.metrics["loss"])
    assert json.loads(soup.folder.environment.read_text())["soup_of"] == [str(small_run.folder), str(other_seed.folder)]
    assert load_recipe(soup.folder.recipe).lora.r == 20


def test_a_run_averaged_with_its_copy_judges_as_it_did(
    small_rewards: TrainingResult, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(small_rewards.folder.path, tmp_path / "copy")
    write_training_prompts(RunFolder(tmp_path / "copy"), load_comparisons(votes[1], votes="required"))
    shown = tiebreak(
        "soup", small_rewards.folder, tmp_path / "copy", "-o", tmp_path / "soup", "--on", votes[1], "--json"
    )
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["training_overlap"] == {"rows": 30, "share": 1.0}
    assert f"30 of 30 rows have prompts that {tmp_path / 'soup'} was trained on (100.0%)" in " ".join(
        shown.stderr.split()
    )
    assert json.loads(shown.stdout)["metrics"]["loss"] == pytest.approx(small_rewards.metrics["loss"], abs=1e-5)
    was, now = (read_card(folder / "model").rewards for folder in (small_rewards.folder.path, tmp_path / "soup"))
    assert was is not None
    assert now is not None
    for name in ("tie_parameter", "mean", "deviation"):
        assert getattr(now, name) == pytest.approx(getattr(was, name), abs=1e-4)


def test_kept_validation_rows_are_measured_on(
    small_run: TrainingResult, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    """The file of votes may be gone; rows with the same ids may still be different ones."""
    rows = list(load_comparisons(votes[1], votes="required"))
    runs = [Path(shutil.copytree(small_run.folder.path, tmp_path / name)) for name in ("a", "b")]
    for run in runs:
        write_validation_rows(RunFolder(run), rows, votes[1])
        recipe = run / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace(str(votes[1]), "gone.csv"))
    assert soup_runs(runs, tmp_path / "soup").rows == 30
    write_validation_rows(RunFolder(runs[1]), [row.swap() for row in rows], None)
    with pytest.raises(DataError, match="validated on different rows"):
        soup_runs(runs, tmp_path / "other")


def test_what_cannot_be_averaged_is_refused(
    small_run: TrainingResult, small_rewards: TrainingResult, small_recipe: Any, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="two different runs"):
        soup_runs([small_run.folder.path, small_run.folder.path], tmp_path / "soup")
    with pytest.raises(ModelError, match=r"cannot be averaged: `head` differs \('pairwise' and 'pointwise'\)"):
        soup_runs([small_run.folder.path, small_rewards.folder.path], tmp_path / "soup")
    settings = ("training.max_steps=1", "lora.target_modules=[q_proj]", "data.validation_rows=9")
    fewer = train(small_recipe(*settings, output=tmp_path / "fewer"))
    with pytest.raises(DataError, match="validated on different rows"):
        soup_runs([small_run.folder.path, fewer.folder.path], tmp_path / "soup")
    comparisons = load_comparisons(load_recipe(small_run.folder.recipe).data.validation or "", votes="required")
    with pytest.raises(ModelError, match="are on different layers"):
        soup_runs([small_run.folder.path, fewer.folder.path], tmp_path / "soup", votes=comparisons)
    assert not (tmp_path / "soup").exists()
    with pytest.raises(RunError, match="already holds a run"):
        soup_runs([small_run.folder.path, fewer.folder.path], small_run.folder.path, votes=comparisons)
