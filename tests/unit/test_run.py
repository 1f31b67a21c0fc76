"""The run folder: whole or not at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from tiebreak.errors import RunError
from tiebreak.run import RunFolder, clear_write_errors, write_text, write_whole


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")

    def half(draft: Path) -> None:
        draft.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match=r"disk is full.*metrics\.json.*Free some space"):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_a_really_full_device_is_named() -> None:
    with pytest.raises(RunError, match=r"The disk is full: /dev/full"):
        write_text(Path("/dev/full"), "x" * 100_000)


def test_libraries_that_hide_the_cause_are_understood(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="disk is full"), clear_write_errors(tmp_path):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(ZeroDivisionError), clear_write_errors(tmp_path):
        _ = 1 / 0


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        RunFolder(tmp_path / "file" / "run").begin("a: 1\n")


def test_a_taken_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.refuse_if_taken(resume=False)
    folder.begin("first: 1\n")
    with pytest.raises(RunError, match=r"already holds a run.*--resume.*output=runs/NAME"):
        folder.refuse_if_taken(resume=False)
    assert folder.recipe.read_text() == "first: 1\n"
    folder.refuse_if_taken(resume=True)

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        RunFolder(tmp_path / "photos").refuse_if_taken(resume=True)


def test_only_checkpoints_written_to_their_end_are_taken_up(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.latest_checkpoint() is None
    for step, state in ((20, '{"global_step": 20}'), (100, '{"global_step": 100}'), (120, '{"global_st'), (140, None)):
        checkpoint = folder.checkpoints / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "optimizer.pt").write_text("")
        if state is not None:
            (checkpoint / "trainer_state.json").write_text(state)
    assert folder.latest_checkpoint() == folder.checkpoints / "checkpoint-100"
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == ["checkpoint-100", "checkpoint-20"]


def test_the_history_is_written_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_history() == []
    lines = [{"step": 1, "loss": 1.5}, {"step": 2, "eval_loss": 1.25}]
    folder.write_history(lines)
    assert folder.read_history() == lines
    assert [json.loads(line) for line in folder.history.read_text().splitlines()] == lines
