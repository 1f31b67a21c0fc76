"""Runs of either head blended into one that judges like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.integration.conftest import paired_votes, probabilities, small_votes, tiebreak
from tiebreak import ModelError, RunError, load_judge
from tiebreak.calibration import out_of_fold_blend
from tiebreak.data import write_comparisons
from tiebreak.errors import DataError
from tiebreak.judges.ensemble import read_blend
from tiebreak.metrics import cross_entropies
from tiebreak.report import write_report
from tiebreak.report.run_metadata import read_run_metadata
from tiebreak.runs import RunFolder, read_validation_rows
from tiebreak.training import TrainingResult
from tiebreak.workflows.blend import Blend, blend_runs
from tiebreak.workflows.calibrate import calibrate_run, remove_calibration

VOTES = small_votes(120, first=300)


@pytest.fixture(scope="module")
def blended(
    small_run: TrainingResult, small_rewards: TrainingResult, tmp_path_factory: pytest.TempPathFactory
) -> Blend:
    folder = tmp_path_factory.mktemp("blend") / "both"
    return blend_runs([small_run.folder.path, small_rewards.folder.path], folder, VOTES)


def run_probabilities(run: Path, swap: str = "none") -> np.ndarray:
    return np.array([(v.model_a, v.model_b, v.tie) for v in load_judge(run).compare_many(VOTES, swap=swap)])


def test_a_blend_is_its_members_weighted_mean(
    blended: Blend, small_run: TrainingResult, small_rewards: TrainingResult
) -> None:
    one, two = blended.members
    assert one.weight + two.weight == pytest.approx(1)
    for swap in ("none", "average"):
        parts = run_probabilities(small_run.folder.path, swap), run_probabilities(small_rewards.folder.path, swap)
        np.testing.assert_allclose(
            run_probabilities(blended.folder.path, swap), one.weight * parts[0] + two.weight * parts[1], atol=1e-6
        )
    labels = [c.vote for c in VOTES if c.vote is not None]
    assert cross_entropies(run_probabilities(blended.folder.path), labels).mean() <= min(one.loss, two.loss) + 1e-9
    both = np.array([run_probabilities(run.folder.path) for run in (small_run, small_rewards)])
    honest = out_of_fold_blend(both, labels, [row.folded_prompt for row in VOTES])
    assert blended.metrics["loss"] == pytest.approx(cross_entropies(honest, labels).mean(), abs=1e-6)
    kept = pd.read_parquet(blended.folder.predictions)[["winner_model_a", "winner_model_b", "winner_tie"]]
    np.testing.assert_allclose(kept, honest, atol=1e-6)
    rows = read_validation_rows(blended.folder)
    assert rows is not None
    assert rows.comparisons == VOTES
    assert one.gain == pytest.approx(two.loss - blended.metrics["loss"], abs=1e-6)  # what is left is the other alone
    assert json.loads(blended.folder.metrics.read_text()) == blended.metrics


def test_a_blend_judges_by_every_verb(blended: Blend, tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    write_comparisons(votes, VOTES[:30])
    shown = tiebreak("evaluate", blended.folder, votes, "--json")
    assert shown.returncode == 0, shown.stderr
    labels = [c.vote for c in VOTES[:30] if c.vote is not None]
    expected = cross_entropies(run_probabilities(blended.folder.path)[:30], labels).mean()
    assert json.loads(shown.stdout)["loss"] == pytest.approx(expected, abs=1e-6)
    ranking = load_judge(blended.folder.path).rank("question 1 ?", ["bad", "good answer", "plain"])
    assert ranking.comparisons == 3
    page = write_report(blended.folder.path, output=tmp_path / "report.html").read_text()
    assert "--on VOTES" not in page
    assert "question" in page
    with pytest.raises(ModelError, match="no reward for a single one"):
        load_judge(blended.folder.path).score("question 1 ?", "good")
    with pytest.raises(ModelError, match="needs a run with a base model"):
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


def test_a_blend_is_calibrated_in_each_order_and_its_calibration_taken_out(blended: Blend, tmp_path: Path) -> None:
    run = Path(shutil.copytree(blended.folder.path, blended.folder.path.with_name("calibrated")))
    before = (run / "model/blend.json").read_bytes()
    later = paired_votes(150, first=400)
    write_comparisons(tmp_path / "later.csv", later)
    shown = tiebreak("calibrate", run, tmp_path / "later.csv", "--json")
    assert shown.returncode == 0, shown.stderr
    kept = json.loads(shown.stdout)
    assert (kept["rows"], kept["prompts"], kept["votes"], kept["orders"]) == (150, 75, "later.csv", 2)
    assert kept["method"] != "none"

    judge, plain = load_judge(run), load_judge(run, calibrate=False)
    assert plain.calibration is None
    assert judge.calibration == read_blend(run / "model").calibration
    assert judge.calibration is not None
    as_given, swapped = (probabilities(plain, rows) for rows in (later, [row.swap() for row in later]))
    single = [judge.calibration.apply(order) for order in (as_given, swapped)]
    average = (single[0] + single[1][:, [1, 0, 2]]) / 2
    np.testing.assert_allclose(probabilities(judge, later), single[0], atol=1e-6)
    np.testing.assert_allclose(probabilities(judge, later, swap="average"), average, atol=1e-6)
    assert np.abs(single[0] - as_given).max() > 0.01
    orders = [[(v.model_a, v.model_b, v.tie) for v in side] for side in zip(*judge.compare_orders(later), strict=True)]
    np.testing.assert_allclose(orders, [single[0], single[1][:, [1, 0, 2]]], atol=1e-6)
    assert judge.compare_many([], swap="average") == judge.compare_many([], swap="uncertain:0.3") == []
    read: list[int] = []
    uncertain = probabilities(judge, later, swap="uncertain:0.3", on_progress=read.append)
    assert sum(read) == judge.texts(150, "uncertain:0.3") == 150 + 45 + 300
    entropies = -(single[0] * np.log(single[0])).sum(axis=1)
    chosen = np.argsort(-entropies, kind="stable")[:45]
    expected = single[0].copy()
    expected[chosen] = average[chosen]
    np.testing.assert_allclose(uncertain, expected, atol=1e-6)
    votes = [row.vote for row in later if row.vote is not None]
    assert cross_entropies(single[0], votes).mean() < cross_entropies(as_given, votes).mean() - 0.01
    left_out = tiebreak("predict", run, tmp_path / "later.csv", "-o", tmp_path / "raw.csv", "--no-calibration")
    assert left_out.returncode == 0, left_out.stderr
    raw = pd.read_csv(tmp_path / "raw.csv")[["winner_model_a", "winner_model_b", "winner_tie"]]
    np.testing.assert_allclose(raw, as_given, atol=1e-6)

    assert read_run_metadata(RunFolder(run)).calibration == judge.calibration  # what the report shows
    assert tiebreak("calibrate", run, "--remove").stdout == "Removed the calibration.\n"
    assert (run / "model/blend.json").read_bytes() == before
    with pytest.raises(DataError, match=r"votes: 99 rows are too few"):
        calibrate_run(run, VOTES[:99])
    log: list[str] = []
    calibrate_run(run, VOTES, log=log.append)
    assert f"120 of 120 rows have prompts that the weights of {run} were fitted on" in log[0]


def test_what_members_say_in_a_blend_stays_what_it_was_when_the_weights_were_found(
    small_run: TrainingResult, small_rewards: TrainingResult, tmp_path: Path
) -> None:
    runs = [Path(shutil.copytree(r.folder.path, tmp_path / n)) for n, r in (("a", small_run), ("b", small_rewards))]
    later = paired_votes(150, first=400)
    calibrate_run(runs[0], later)
    blend = blend_runs(runs, tmp_path / "blend", VOTES)
    then = probabilities(load_judge(blend.folder.path), VOTES)
    weights = [member.weight for member in blend.members]
    members = [probabilities(load_judge(run), VOTES) for run in runs]
    np.testing.assert_allclose(then, weights[0] * members[0] + weights[1] * members[1], atol=1e-6)
    assert np.abs(members[0] - probabilities(load_judge(runs[0], calibrate=False), VOTES)).max() > 0.01
    remove_calibration(runs[0])
    calibrate_run(runs[1], later)
    np.testing.assert_allclose(probabilities(load_judge(blend.folder.path), VOTES), then, atol=1e-6)
    np.testing.assert_allclose(probabilities(load_judge(blend.folder.path, calibrate=False), VOTES), then, atol=1e-6)


def test_votes_that_a_member_learned_from_are_told(
    small_run: TrainingResult, small_rewards: TrainingResult, tmp_path: Path
) -> None:
    log: list[str] = []
    blend_runs([small_run.folder.path, small_rewards.folder.path], tmp_path / "b", small_votes(120), log=log.append)
    for run in (small_run.folder, small_rewards.folder):
        assert any(f"90 of 120 rows have prompts that {run} was trained on" in line for line in log)
        assert any(f"30 of 120 rows have prompts that {run} was validated on" in line for line in log)


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
