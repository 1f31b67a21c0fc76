"""The run folder: whole or not at all."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tiebreak.errors import RunError
from tiebreak.runs import RunFolder, translate_write_errors, write_atomically, write_text


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")

    def half(draft: Path) -> None:
        draft.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match=r"disk is full.*metrics\.json.*Free some space"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_a_really_full_device_is_named() -> None:
    with pytest.raises(RunError, match=r"The disk is full: /dev/full"):
        write_text(Path("/dev/full"), "x" * 100_000)


def test_libraries_that_hide_the_cause_are_understood(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="disk is full"), translate_write_errors(tmp_path):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(ZeroDivisionError), translate_write_errors(tmp_path):
        _ = 1 / 0


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        RunFolder(tmp_path / "file" / "run").begin("a: 1\n")


def test_a_taken_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check_available(resume=False)
    folder.begin("first: 1\n")
    with pytest.raises(RunError, match=r"already holds a run.*--resume.*output=runs/NAME"):
        folder.check_available(resume=False)
    assert folder.recipe.read_text() == "first: 1\n"
    folder.check_available(resume=True)

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        RunFolder(tmp_path / "photos").check_available(resume=True)


HOLDER = """
import sys, time
from tiebreak.runs import RunFolder
folder = RunFolder(sys.argv[1])
with folder.lock(resume=False):
    folder.begin("first: 1\\n")
    print("taken", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_one_processs_until_that_dies(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        for resume in (False, True):
            with pytest.raises(RunError, match=rf"Another process is training in {folder}\. .*output=runs/NAME"):
                folder.lock(resume=resume).__enter__()
    finally:
        holder.kill()
        holder.wait()
    with pytest.raises(RunError, match="already holds a run"), folder.lock(resume=False):
        pass
    with folder.lock(resume=True):
        assert folder.recipe.read_text() == "first: 1\n"


def test_a_folder_in_which_no_run_was_begun_is_left_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path / "new").lock(resume=False):
        _ = 1 / 0
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path / "empty").lock(resume=False):
        _ = 1 / 0
    assert [p.name for p in tmp_path.rglob("*")] == ["empty"]
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".lock").touch()  # by a process that was killed before it began its run
    with RunFolder(tmp_path / "killed").lock(resume=False):
        pass
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    with pytest.raises(RunError, match="holds no run"), RunFolder(tmp_path / "photos").lock(resume=True):
        pass
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["cat.png"]
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file"), RunFolder(tmp_path / "file").lock(resume=False):
        pass


def test_what_is_no_trained_run_is_told_apart(tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(RunError, match=message):
            RunFolder(path).check_trained()

    run = RunFolder(tmp_path / "run")
    refused(run.path, "There is no run folder")
    run.checkpoints.mkdir(parents=True)
    refused(run.path, r"holds no trained model\. Name the folder of a finished run")
    (run.checkpoints / "checkpoint-5").mkdir()
    refused(run.path, rf"did not finish\. Continue it: tiebreak train {run.recipe} --resume")
    run.model.mkdir()
    (run.model / "tiebreak.json").touch()
    run.check_trained()
    refused(run.model, rf"is the model folder of a run\. Name the run's: {run}\.")
    refused(run.model / "tiebreak.json", "is a file")
    (tmp_path / "gemma").mkdir()
    refused(tmp_path / "gemma", "holds no trained model")
    (tmp_path / "gemma" / "config.json").touch()
    RunFolder(tmp_path / "gemma").check_trained()  # whether a model is a judge is known when its configuration is read


def test_names_of_runs_and_models_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    names = {
        name: RunFolder(name).names_a_model for name in ("org/model", "runs/typo", "typo", "/org/model", "../model")
    }
    assert names == {"org/model": True, "runs/typo": False, "typo": False, "/org/model": False, "../model": False}


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


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_file_system_without_locks_can_hold_runs(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(code, "not here")

    monkeypatch.setattr("fcntl.flock", no_locks)
    folder = RunFolder(tmp_path / "run")
    for resume in (False, True):
        with folder.lock(resume=resume):
            folder.begin("first: 1\n")


def test_a_folder_that_cannot_be_locked_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(RunError, match="could not be written: Read-only"), RunFolder(tmp_path).lock(resume=False):
        pass


def test_a_folder_is_locked_within_a_process_too(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.lock(resume=False):
        folder.begin("first: 1\n")
        with pytest.raises(RunError, match="Another process"):
            RunFolder(tmp_path / "run").lock(resume=True).__enter__()
