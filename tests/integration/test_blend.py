"""Runs of either head blended into one that judges like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.integration.conftest import small_votes, tiebreak
from tiebreak import ModelError, RunError, load_judge
from tiebreak.blend import Blend, blend_runs
from tiebreak.data import write_comparisons
from tiebreak.errors import DataError
from tiebreak.judging import cross_entropies
from tiebreak.training import TrainingResult

VOTES = small_votes(120, first=300)


@pytest.fixture(scope="module")
def blended(
    small_run: TrainingResult, small_rewards: TrainingResult, tmp_path_factory: pytest.TempPathFactory
) -> Blend:
    folder = tmp_path_factory.mktemp("blend") / "both"
    return blend_runs([small_run.folder.path, small_rewards.folder.path], folder, VOTES)


def said(run: Path, swap: str = "none") -> np.ndarray:
    return np.array([(v.model_a, v.model_b, v.tie) for v in load_judge(run).compare_many(VOTES, swap=swap)])


def test_a_blend_is_its_members_weighted_mean(
    blended: Blend, small_run: TrainingResult, small_rewards: TrainingResult
) -> None:
    one, two = blended.members
    assert one.weight + two.weight == pytest.approx(1)
    for swap in ("none", "average"):
        parts = said(small_run.folder.path, swap), said(small_rewards.folder.path, swap)
        np.testing.assert_allclose(
            said(blended.folder.path, swap), one.weight * parts[0] + two.weight * parts[1], atol=1e-6
        )
    given = [c.vote for c in VOTES if c.vote is not None]
    assert blended.metrics["loss"] <= min(one.loss, two.loss) + 1e-9
    assert blended.metrics["loss"] == pytest.approx(cross_entropies(said(blended.folder.path), given).mean(), abs=1e-6)
    assert one.gain == pytest.approx(two.loss - blended.metrics["loss"], abs=1e-6)  # what is left is the other alone
    assert json.loads(blended.folder.metrics.read_text()) == blended.metrics


def test_a_blend_judges_by_every_verb(blended: Blend, tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    write_comparisons(votes, VOTES[:30])
    shown = tiebreak("evaluate", blended.folder, votes, "--json")
    assert shown.returncode == 0, shown.stderr
    given = [c.vote for c in VOTES[:30] if c.vote is not None]
    expected = cross_entropies(said(blended.folder.path)[:30], given).mean()
    assert json.loads(shown.stdout)["loss"] == pytest.approx(expected, abs=1e-6)
    ranking = load_judge(blended.folder.path).rank("question 1 ?", ["bad", "good answer", "plain"])
    assert ranking.comparisons == 3
    with pytest.raises(ModelError, match="no reward for one alone"):
        load_judge(blended.folder.path).score("question 1 ?", "good")
    with pytest.raises(ModelError, match="goes with a run that has a base model"):
        load_judge(blended.folder.path, merge="bf16")


def test_the_command_line_blends_and_says_what_each_adds(
    small_run: TrainingResult, small_rewards: TrainingResult, tmp_path: Path
) -> None:
    votes = tmp_path / "votes.csv"
    write_comparisons(votes, VOTES)
    command = ("blend", small_run.folder, small_rewards.folder, "--on", votes, "-o", tmp_path / "blend")
    shown = tiebreak(*command)
    assert shown.returncode == 0, shown.stderr
    assert "adds" in shown.stdout
    assert str(small_rewards.folder) in shown.stdout
    again = tiebreak(*command)
    assert again.returncode == 1
    assert "already holds a run" in " ".join(again.stderr.split())


def test_what_cannot_be_blended_is_refused(
    blended: Blend, small_run: TrainingResult, small_rewards: TrainingResult, tmp_path: Path
) -> None:
    runs = [small_run.folder.path, small_rewards.folder.path]
    with pytest.raises(RunError, match="two different runs"):
        blend_runs([runs[0], runs[0]], tmp_path / "b", VOTES)
    with pytest.raises(DataError, match="30 votes are too few"):
        blend_runs(runs, tmp_path / "b", VOTES[:30])
    with pytest.raises(RunError, match="is a blend itself"):
        blend_runs([blended.folder.path, runs[0]], tmp_path / "b", VOTES)
    assert not (tmp_path / "b").exists()
    moved = tmp_path / "far" / "away" / "moved"
    shutil.copytree(blended.folder.path, moved)
    with pytest.raises(RunError, match="There is no run folder"):
        load_judge(moved)
    (moved / "model" / "blend.json").write_text('{"members": []}')
    with pytest.raises(RunError, match="cannot be read by this version"):
        load_judge(moved)
