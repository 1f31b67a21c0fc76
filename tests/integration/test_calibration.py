"""A run that sets votes aside and is calibrated on them; a finished run that is calibrated later; swapping in part."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from tests.integration.conftest import paired_votes, probabilities, small_overrides, small_votes
from tiebreak import Comparison, DataError, RecipeError, RunError, load_judge, load_recipe, train
from tiebreak.cli import app
from tiebreak.data.writer import write_comparisons
from tiebreak.export import export_run
from tiebreak.export.drift import judge_outputs
from tiebreak.judges.answer_order import swapped_count
from tiebreak.metrics import preference_metrics
from tiebreak.models import read_card
from tiebreak.recipe import DataSection
from tiebreak.training import TrainingResult
from tiebreak.training.splits import SplitVotes, split_votes, warn_about_shared_prompts
from tiebreak.workflows.calibrate import calibrate_run, remove_calibration

WINNERS = ["winner_model_a", "winner_model_b", "winner_tie"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 320 votes on 160 prompts."""
    path = tmp_path_factory.mktemp("many") / "many.csv"
    write_comparisons(path, paired_votes(320))
    return path


@pytest.fixture(scope="module")
def calibrated(tiny_base: Path, many: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, str]:
    """A run that set 120 of its votes aside, and what it said; not to be written to."""
    folder = tmp_path_factory.mktemp("run") / "calibrated"
    overrides = small_overrides(tiny_base, (many, many), folder, "data.validation=null", "data.validation_rows=40",
                                "data.calibration_rows=120")  # fmt: skip
    said: list[str] = []
    result = train(load_recipe("demo", overrides), log=said.append)
    return result, "\n".join(said)


@pytest.fixture
def copied(small_run: TrainingResult, small_rewards: TrainingResult, tmp_path: Path) -> Callable[[str], Path]:
    """A finished run without a calibration, to be written to."""

    def copy(head: str) -> Path:
        source = small_run if head == "pairwise" else small_rewards
        return Path(shutil.copytree(source.folder.path, tmp_path / head))

    return copy


def run_cli(*arguments: object) -> Result:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_what_is_set_aside_shares_no_prompt_with_the_rest(many: Path) -> None:
    settings: dict[str, Any] = {"train": many, "validation_rows": 40}
    plain = split_votes(DataSection(**settings), print)
    for asked in ({"calibration_rows": 120}, {"calibration_share": 0.375}):
        split = split_votes(DataSection(**settings, **asked), print)
        assert [len(rows) for rows in split] == [160, 40, 120]
        assert split.validation == plain.validation
        assert sorted(row.id for rows in split for row in rows) == sorted(row.id for row in paired_votes(320))
        prompts = [{row.folded_prompt for row in rows} for rows in split]
        assert [len(group) for group in prompts] == [80, 20, 60]
        assert len(set.union(*prompts)) == 160
    assert plain.calibration == []
    assert len(split_votes(DataSection(**settings, calibration_rows=120, train_rows=7), print).training) == 7


def test_a_run_keeps_its_calibration_and_judges_with_it(calibrated: tuple[TrainingResult, str], many: Path) -> None:
    result, log = calibrated
    card = read_card(result.folder.model)
    assert card.calibration is not None
    assert (card.calibration.rows, card.calibration.prompts, card.calibration.orders) == (120, 60, 2)
    assert card.calibration.method != "none"  # 12 steps leave it far from certain of what it could tell
    assert card.calibration.candidate(card.calibration.method).gain > 0
    assert "Calibration rows: 120." in log
    assert str(card.calibration) in log
    assert "120 rows of many.csv that were set aside: log loss" in log

    validation = split_votes(load_recipe(result.folder.recipe).data, print).validation
    judge, plain = load_judge(result.folder.path), load_judge(result.folder.path, calibrate=False)
    assert judge.calibration == card.calibration
    assert plain.calibration is None
    as_given, swapped = (probabilities(plain, rows) for rows in (validation, [row.swap() for row in validation]))
    np.testing.assert_allclose(probabilities(judge, validation), card.calibration.apply(as_given), atol=1e-6)
    assert np.abs(probabilities(judge, validation) - as_given).max() > 0.01
    both = [card.calibration.apply(rows) for rows in (as_given, swapped)]  # each by itself, then the mean
    np.testing.assert_allclose(
        probabilities(judge, validation, swap="average"), (both[0] + both[1][:, [1, 0, 2]]) / 2, atol=1e-6
    )

    votes = [row.vote for row in validation if row.vote is not None]
    measured = preference_metrics(card.calibration.apply(as_given), votes)
    uncalibrated = {f"uncalibrated_{name}": value for name, value in preference_metrics(as_given, votes).items()}
    assert result.metrics == pytest.approx(measured | uncalibrated, abs=1e-5)
    assert json.loads(result.folder.metrics.read_text()) == result.metrics
    kept = pd.read_parquet(result.folder.predictions)[WINNERS]
    np.testing.assert_allclose(kept, probabilities(judge, validation), atol=1e-6)


def test_a_judge_calibrates_each_order_and_exchanges_answers(calibrated: tuple[TrainingResult, str]) -> None:
    judge = load_judge(calibrated[0].folder.path)
    rows = small_votes(30, first=700)
    averaged = probabilities(judge, rows, swap="average")
    back = probabilities(judge, [row.swap() for row in rows], swap="average")
    np.testing.assert_allclose(back[:, [1, 0, 2]], averaged, atol=1e-6)


def test_an_export_is_uncalibrated_and_says_so(calibrated: tuple[TrainingResult, str], tmp_path: Path) -> None:
    run = calibrated[0].folder
    export_run(run.path, tmp_path / "out", adapter_only=True, skip_drift=True)
    assert json.loads((tmp_path / "out/tiebreak.json").read_text())["calibration"]["rows"] == 120
    text = (tmp_path / "out/README.md").read_text()
    assert "Its outputs are not calibrated." in text
    assert f"| all | {calibrated[0].metrics['uncalibrated_loss']:.4f} |" in text
    rows = small_votes(6)
    numbers = judge_outputs(run.path, None, read_card(run.model), rows, lambda *_: None)
    np.testing.assert_allclose(
        numbers.probabilities, probabilities(load_judge(run.path, calibrate=False), rows), atol=1e-6
    )


@pytest.mark.parametrize("swap", ["uncertain:0.33", "uncertain:0.9"])
def test_the_least_certain_are_judged_in_both_orders_and_no_others(small_run: TrainingResult, swap: str) -> None:
    judge = load_judge(small_run.folder.path)
    rows = small_votes(29, first=400)
    none, average = (probabilities(judge, rows, swap=mode) for mode in ("none", "average"))
    read: list[int] = []
    uncertain = probabilities(judge, rows, swap=swap, on_progress=read.append)
    chosen = np.argsort((none * np.log(none)).sum(axis=1))[: swapped_count(29, swap)]
    rest = np.setdiff1d(np.arange(29), chosen)
    assert len(chosen) in (10, 27)
    np.testing.assert_allclose(uncertain[chosen], average[chosen], atol=1e-6)
    np.testing.assert_allclose(uncertain[rest], none[rest], atol=1e-6)
    assert np.abs(average - none)[rest].max() > 1e-4
    assert sum(read) == judge.texts(29, swap) == 29 + len(chosen)
    assert [judge.texts(29, mode) for mode in ("none", "average")] == [29, 58]
    assert probabilities(judge, [], swap=swap).size == 0


@pytest.mark.parametrize("swap", ["uncertain", "uncertain:", "uncertain:x", "uncertain:0", "uncertain:1", "certain:.3"])
def test_a_swap_that_is_none_is_refused(
    small_run: TrainingResult, small_rewards: TrainingResult, swap: str, votes: tuple[Path, Path]
) -> None:
    for run in (small_run, small_rewards):
        with pytest.raises(ValueError, match=r"it must be 'none', 'average', or 'uncertain:SHARE' with a share betwee"):
            load_judge(run.folder.path).compare("question", "good", "bad", swap=swap)
    shown = run_cli("evaluate", small_run.folder, votes[1], "--swap", swap)
    assert shown.exit_code == 2
    assert f"swap is '{swap}'" in shown.stderr


def test_a_ranking_depends_on_nothing_else_that_is_ranked(
    small_run: TrainingResult, small_rewards: TrainingResult
) -> None:
    for run in (small_run, small_rewards):
        with pytest.raises(ValueError, match="rankings take 'none' or 'average'"):
            load_judge(run.folder.path).rank("question", ["good", "bad"], swap="uncertain:0.33")


@pytest.mark.parametrize("head", ["pairwise", "pointwise"])
def test_a_finished_run_is_calibrated_and_its_calibration_taken_out(
    head: str, copied: Callable[[str], Path], tmp_path: Path
) -> None:
    run = copied(head)
    before = (run / "model/tiebreak.json").read_bytes()
    votes = paired_votes(150, first=400)
    write_comparisons(tmp_path / "later.csv", votes)
    plain = load_judge(run)
    assert plain.calibration is None
    shown = run_cli("calibrate", run, tmp_path / "later.csv", "--json")
    assert shown.exit_code == 0, shown.stderr
    kept = json.loads(shown.stdout)
    card = read_card(run / "model")
    assert card.calibration is not None
    assert kept["method"] == kept["map"]["method"] == card.calibration.method != "none"
    assert (kept["rows"], kept["prompts"], kept["votes"]) == (150, 75, "later.csv")
    assert kept["orders"] == (2 if head == "pairwise" else 1)
    assert "rows have prompts that" not in shown.stderr
    assert list((run / "model").glob(".*")) == []

    judge = load_judge(run)
    as_given = probabilities(plain, votes)
    np.testing.assert_allclose(probabilities(judge, votes), card.calibration.apply(as_given), atol=1e-6)
    if head == "pointwise":
        sides = [side for row in votes[:9] for side in row.conversations]
        assert [s.reward for s in judge.score_many(sides)] == [s.reward for s in plain.score_many(sides)]
    else:
        first = judge.rank("question 1 ?", ["good answer", "bad answer"]).rewards
        assert first != pytest.approx(plain.rank("question 1 ?", ["good answer", "bad answer"]).rewards, abs=1e-3)
    asked = ("judge", run, "--prompt", "question 1 ?", "--a", "good", "--b", "bad", "--json")
    calibrated_verdict, left_out = (json.loads(run_cli(*asked, *more).stdout) for more in ((), ("--no-calibration",)))
    verdict = plain.compare("question 1 ?", "good", "bad")
    assert left_out["model_a"] == pytest.approx(verdict.model_a, abs=1e-6)
    assert calibrated_verdict["model_a"] != pytest.approx(verdict.model_a, abs=1e-3)
    for name, more in (("with", ()), ("without", ("--no-calibration",))):
        run_cli("predict", run, tmp_path / "later.csv", "-o", tmp_path / f"{name}.csv", *more)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "without.csv")[WINNERS], as_given, atol=1e-6)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "with.csv")[WINNERS], card.calibration.apply(as_given), atol=1e-6)

    table = run_cli("calibrate", run, tmp_path / "later.csv").stdout  # again, in its place
    assert "temperature scaling" in table
    assert table.count("   kept") == 1
    assert str(card.calibration) in table
    assert run_cli("calibrate", run, "--remove").stdout == "Removed the calibration.\n"
    assert (run / "model/tiebreak.json").read_bytes() == before
    assert not remove_calibration(run)


def test_a_card_from_before_calibrations_still_loads(copied: Callable[[str], Path]) -> None:
    run = copied("pairwise")
    path = run / "model/tiebreak.json"
    card = json.loads(path.read_text())
    assert card.pop("calibration") is None
    path.write_text(json.dumps(card))
    assert read_card(run / "model").calibration is None
    path.write_text(json.dumps(card | {"calibration": {"map": {"method": "magic"}}}))
    with pytest.raises(RunError, match="cannot be read by this version"):
        read_card(run / "model")


def test_votes_that_the_run_knows_are_told(
    calibrated: tuple[TrainingResult, str], copied: Callable[[str], Path], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(calibrated[0].folder.path, tmp_path / "run"))
    log: list[str] = []
    calibrate_run(run, paired_votes(320), log=log.append)
    assert f"160 of 320 rows have prompts that {run} was trained on" in log[0]
    assert f"40 of 320 rows have prompts that {run} was validated on" in log[1]
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("many.csv", "gone.csv"))
    for kept in ("validation.parquet", "training_prompts.npy"):  # as in runs of Tiebreak 0.1
        (run / kept).unlink(missing_ok=True)
    log.clear()
    calibrate_run(run, paired_votes(320), log=log.append)
    assert f"Whether {run} was trained on these votes is unknown" in log[0]
    assert "40 rows of 320 have ids of its validation rows" in log[1]

    for split, harm in (
        (
            SplitVotes(small_votes(20), small_votes(9, first=50), small_votes(12)),
            "12 of 12 calibration rows .* in training",
        ),
        (SplitVotes(small_votes(20), small_votes(9, first=50), small_votes(12, first=55)), "4 of 12 .* in validation"),
    ):
        log.clear()
        warn_about_shared_prompts(split, log.append)
        [line] = log
        assert re.search(harm, line)


def test_too_few_votes_to_calibrate_on_are_refused_before_anything_is_trained(
    many: Path, small_recipe: Any, copied: Callable[[str], Path], tmp_path: Path
) -> None:
    def refused(kind: type[Exception], message: str, *more: str) -> None:
        log: list[str] = []
        with pytest.raises(kind, match=message):
            train(small_recipe(f"data.train={many}", *more, output=tmp_path / "run"), log=log.append)
        assert not (tmp_path / "run").exists()
        assert not any("Training rows" in line for line in log)

    few = r"data\.calibration_share=0\.02 of 320 rows: 6 rows are too few to calibrate on .*100\)\. Raise it, or"
    refused(DataError, few, "data.calibration_share=0.02")
    refused(DataError, r"calibration=.*few\.csv: 90 rows are too few", f"data.calibration={votes_file(tmp_path, 90)}")
    refused(RecipeError, r"calibration_rows=320 of 320 rows leaves nothing of 320", "data.calibration_rows=320")
    refused(
        RecipeError, r"data\.calibration_rows asks for 500 rows where there are 150", "data.calibration_rows=500",
        f"data.calibration={votes_file(tmp_path, 150)}",
    )  # fmt: skip
    with pytest.raises(RecipeError, match="calibration_share splits rows off"):
        small_recipe("data.calibration_share=0.5", "data.calibration_rows=5")

    run = copied("pairwise")
    with pytest.raises(DataError, match=r"few\.csv: 99 rows are too few"):
        run_cli("calibrate", run, votes_file(tmp_path, 99))
    with pytest.raises(DataError, match="Give votes to calibrate on"):
        run_cli("calibrate", run)
    with pytest.raises(DataError, match="not both"):
        run_cli("calibrate", run, votes_file(tmp_path, 99), "--remove")
    with pytest.raises(DataError, match="votes: 1 row without a vote"):
        calibrate_run(run, [*paired_votes(150), Comparison(("question ?",), ("a",), ("b",))])


def votes_file(folder: Path, rows: int) -> Path:
    write_comparisons(folder / "few.csv", paired_votes(rows))
    return folder / "few.csv"


def test_a_tie_that_the_tie_model_holds_impossible_is_refused(copied: Callable[[str], Path]) -> None:
    run = copied("pointwise")
    path = run / "model/tiebreak.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"rewards": card["rewards"] | {"tie_model": "bradley-terry"}}))
    with pytest.raises(DataError, match=r"This judge \(model\.tie_model=bradley-terry\) gives ties a probability of 0"):
        calibrate_run(run, paired_votes(150))
