"""Weighted votes from the file to the run folder, its evaluation and its report."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.integration.conftest import paired_votes, probabilities, small_overrides
from tiebreak import evaluate, load_judge, load_recipe, train
from tiebreak.cli import app
from tiebreak.data import write_comparisons
from tiebreak.errors import DataError
from tiebreak.metrics import preference_metrics
from tiebreak.report import write_report
from tiebreak.runs import read_validation_rows
from tiebreak.training import TrainingResult
from tiebreak.types import Comparison
from tiebreak.workflows.blend import blend_runs
from tiebreak.workflows.calibrate import calibrate_run
from tiebreak.workflows.soup import soup_runs

WEIGHTS = (1.0, 3.0, 0.5, 0.0, 2.0)


def weighted(rows: list[Comparison]) -> list[Comparison]:
    return [replace(row, weight=WEIGHTS[i % len(WEIGHTS)]) for i, row in enumerate(rows)]


VALIDATION = weighted(paired_votes(60, first=200))
COUNTED = [row for row in VALIDATION if row.weight]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("weighted")
    write_comparisons(folder / "train.csv", weighted(paired_votes(150)))
    write_comparisons(folder / "validation.csv", VALIDATION)
    return folder / "train.csv", folder / "validation.csv"


@pytest.fixture(scope="module")
def baseline(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    folder = tmp_path_factory.mktemp("run") / "length"
    settings = [f"data.train={files[0]}", f"data.validation={files[1]}", f"output={folder}"]
    return train(load_recipe("baseline-length", settings))


@pytest.fixture(scope="module")
def tuned(tiny_base: Path, files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    folder = tmp_path_factory.mktemp("run") / "tuned"
    return train(load_recipe("demo", small_overrides(tiny_base, files, folder)))


def metrics_of(run: Path, rows: list[Comparison] = VALIDATION) -> dict[str, float]:
    """Weighted, and without the rows of weight 0."""
    p = probabilities(load_judge(run), rows)
    w = np.array([row.weight for row in rows])
    found = preference_metrics(p, [row.required_vote() for row in rows], w)
    kept = w > 0
    losses = [-np.log(p[i][np.argmax(row.vote)]) for i, row in enumerate(rows)]
    assert found["loss"] == pytest.approx(np.average(np.array(losses)[kept], weights=w[kept]), rel=1e-6)
    return found


@pytest.mark.parametrize("kind", ["baseline", "tuned"])
def test_a_run_keeps_its_weights_and_is_measured_by_them(kind: str, request: Any, tmp_path: Path) -> None:
    run: TrainingResult = request.getfixturevalue(kind)
    folder = run.folder
    kept = read_validation_rows(folder)
    assert kept is not None
    assert kept.comparisons == VALIDATION
    assert pd.read_parquet(folder.predictions)["weight"].tolist() == [row.weight for row in VALIDATION]
    wanted = metrics_of(folder.path)
    assert {name: run.metrics[name] for name in wanted} == pytest.approx(wanted, abs=1e-5)

    notes: list[str] = []
    own = evaluate(folder.path, log=notes.append)
    assert own.metrics["loss"].value == pytest.approx(wanted["loss"], abs=1e-5)
    assert "12 of 60 rows have weight 0: they are judged, but not measured." in notes
    given = evaluate(folder.path, VALIDATION)
    assert given.to_dict()["evaluation"] == own.to_dict()["evaluation"]
    assert own.evaluation.rows == len(COUNTED) == 48

    page = write_report(folder.path, output=tmp_path / "report.html").read_text()
    assert f"{own.metrics['loss'].value:.4f}" in page
    assert f"Rows are weighted: weights sum to 78 and count as {78**2 / 171:.1f} rows of equal weight." in page


def test_the_command_line_prints_weights(baseline: TrainingResult, files: tuple[Path, Path]) -> None:
    def run(*options: str) -> Any:
        done = CliRunner().invoke(app, ["evaluate", str(baseline.folder.path), str(files[1]), *options])
        assert done.exception is None, done.output
        return done

    found = json.loads(run("--json", "--baselines").stdout)
    size = {"sum": pytest.approx(78), "effective_rows": pytest.approx(78**2 / 171)}
    assert found["weights"] == found["evaluation"]["weights"] == size
    assert found["loss"] == pytest.approx(metrics_of(baseline.folder.path)["loss"], abs=1e-6)
    prior = next(one for one in found["baselines"] if one["name"] == "shares of the training votes")
    training = [row for row in weighted(paired_votes(150)) if row.weight]
    shares = np.average([row.required_vote() for row in training], axis=0, weights=[row.weight for row in training])
    total = sum(row.weight for row in training)
    p = (np.array([(shares[0] + shares[1]) / 2] * 2 + [shares[2]]) * total + 1) / (total + 3)
    losses = [-np.log(p[np.argmax(row.vote)]) for row in COUNTED]
    assert prior["loss"]["value"] == pytest.approx(np.average(losses, weights=[row.weight for row in COUNTED]))
    shown = " ".join(run().stdout.split())
    assert f"Rows are weighted: weights sum to 78 and count as {78**2 / 171:.1f} rows of equal weight." in shown


def test_calibrations_blends_and_soups_of_weighted_votes(
    baseline: TrainingResult, tuned: TrainingResult, tmp_path: Path
) -> None:
    votes = weighted(paired_votes(200, first=400))
    counted = [row for row in votes if row.weight]
    labels, w = [row.required_vote() for row in counted], [row.weight for row in counted]
    folders = [baseline.folder.path, tuned.folder.path]
    notes: list[str] = []
    blend = blend_runs(folders, tmp_path / "blend", votes, log=notes.append)
    assert "votes: 40 of 200 rows have weight 0: left out." in notes
    for member, folder in zip(blend.members, folders, strict=True):
        p = probabilities(load_judge(folder), counted)
        assert member.loss == pytest.approx(preference_metrics(p, labels, w)["loss"], abs=1e-6)
    kept = read_validation_rows(blend.folder)
    assert kept is not None
    assert kept.comparisons == counted
    calibration = calibrate_run(blend.folder.path, votes)
    assert calibration.rows == len(counted) == 160
    p = probabilities(load_judge(blend.folder.path, calibrate=False), counted)
    assert calibration.candidate("none").loss == pytest.approx(preference_metrics(p, labels, w)["loss"], abs=1e-6)

    twin = Path(shutil.copytree(tuned.folder.path, tmp_path / "twin"))
    for fit in (calibrate_run, lambda run, rows: soup_runs([run, twin], tmp_path / "none", votes=rows)):
        with pytest.raises(DataError, match=r"[Aa]ll 200 rows .*have weight 0"):
            fit(tuned.folder.path, [replace(row, weight=0.0) for row in votes])
    soup = soup_runs([tuned.folder.path, twin], tmp_path / "soup")
    assert soup.metrics["loss"] == pytest.approx(tuned.metrics["loss"], abs=1e-4)
