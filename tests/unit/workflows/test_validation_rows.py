"""Where a run's validation rows come from, and whether a run has seen votes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.workflows.runs import VOTES, comparisons, write_run
from tiebreak.data import load_comparisons
from tiebreak.errors import DataError
from tiebreak.runs import RunFolder, write_training_prompts, write_validation_rows
from tiebreak.workflows.predictions import read_run_predictions
from tiebreak.workflows.validation_rows import find_validation_rows
from tiebreak.workflows.vote_overlap import warn_about_overlap

OLD_RUNS = Path(__file__).parents[2] / "fixtures" / "runs_0_1"


@pytest.fixture
def old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of Tiebreak 0.1, which keeps no validation rows; its votes are `votes.csv` in the current directory."""
    shutil.copytree(OLD_RUNS, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return RunFolder("length")


def test_the_split_of_an_older_run_is_replayed(old_run: RunFolder) -> None:
    predictions = read_run_predictions(old_run.path)
    rows = find_validation_rows(old_run, predictions.ids)
    assert [row.id for row in rows.comparisons] == predictions.ids
    assert [row.vote for row in rows.comparisons] == predictions.votes
    assert rows.source.endswith("votes.csv")
    Path("votes.csv").rename("moved.csv")
    with pytest.raises(DataError, match=r"votes.csv does not exist.* name it: --on VOTES"):
        find_validation_rows(old_run, predictions.ids)
    assert find_validation_rows(old_run, predictions.ids, Path("moved.csv")).comparisons == rows.comparisons


def test_kept_rows_come_before_a_replay(tmp_path: Path) -> None:
    rows = comparisons(VOTES * 2)
    write_run(tmp_path / "run", rows)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(DataError, match="does not name the votes that it was validated on"):
        find_validation_rows(run, [row.id for row in rows])
    write_validation_rows(run, rows[::-1], None)
    assert find_validation_rows(run, [row.id for row in rows]).comparisons == rows


def test_overlap_is_found_in_the_run_folder_or_by_a_replay(old_run: RunFolder, tmp_path: Path) -> None:
    def logged(run: RunFolder, name: str) -> str:
        log: list[str] = []
        warn_about_overlap(run, votes, log.append)
        return "\n".join(log).replace(name, "RUN")

    votes = load_comparisons("votes.csv", votes="required")
    replayed = logged(old_run, "length")
    assert "of 260 rows have prompts that RUN was trained on" in replayed
    assert "24 of 260 rows have prompts that RUN was validated on" in replayed
    Path("votes.csv").unlink()
    assert "Whether RUN was trained on these votes is unknown" in logged(old_run, "length")
    assert "24 rows of 260 have ids of its validation rows" in logged(old_run, "length")

    write_run(tmp_path / "new", list(votes[:10]))
    new = RunFolder(tmp_path / "new")
    write_validation_rows(new, votes[:10], None)
    write_training_prompts(new, votes[100:150])
    for rows, verb in ((votes[100:150], "trained"), (votes[:10], "validated")):
        prompts = {row.folded_prompt for row in rows}
        shared = sum(row.folded_prompt in prompts for row in votes)
        assert f"{shared} of 260 rows have prompts that RUN was {verb} on" in logged(new, str(new))
