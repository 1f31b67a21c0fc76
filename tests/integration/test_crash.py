"""Killed in mid-training and taken up again: the same weights as a run left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.conftest import small_overrides, tiebreak
from tiebreak import RecipeError, RunError, load_recipe, train
from tiebreak.runs import RunFolder

# Dropout and both orders, so that random state and packing have to come back too; long enough to be hit in the middle.
SETTINGS = (
    "training.max_steps=120", "training.save_steps=5", "training.eval_steps=10", "training.logging_steps=5",
    "lora.lora_dropout=0.1", "training.both_orders=true", "training.lr_scheduler_type=cosine",
    "training.load_best_model_at_end=false",
)  # fmt: skip


def end_after(step: int, folder: RunFolder, command: list[str], number: int) -> tuple[int, str]:
    """Its exit status and what it said, when a signal came after a checkpoint."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tiebreak", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 100
        while not (folder.checkpoints / f"checkpoint-{step}" / "trainer_state.json").exists():
            assert process.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(process.pid, number)
        stderr = process.communicate(timeout=60)[1]
        return process.returncode, stderr
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_s_signal_is_answered_with_how_to_go_on(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "ended")
    command = ["train", "demo", *small_overrides(tiny_base, votes, folder.path, *SETTINGS)]
    status, stderr = end_after(5, folder, command, signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert "Stopped. Run the same command with --resume to continue from the last checkpoint" in " ".join(
        stderr.split()
    )
    assert "Traceback" not in stderr


def test_sigkill_and_resume_end_with_the_same_weights(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    alone = train(load_recipe("demo", small_overrides(tiny_base, votes, tmp_path / "alone", *SETTINGS)))

    folder = RunFolder(tmp_path / "killed")
    overrides = small_overrides(tiny_base, votes, folder.path, *SETTINGS)
    assert end_after(20, folder, ["train", "demo", *overrides], signal.SIGKILL)[0] == -signal.SIGKILL
    assert not folder.is_finished
    reached = max(int(p.name.rpartition("-")[2]) for p in folder.checkpoints.glob("checkpoint-*"))
    assert 20 <= reached < 120
    # A checkpoint that was being written when the process died, newer than any whole one.
    torn = folder.checkpoints / f"checkpoint-{reached + 5}"
    torn.mkdir(exist_ok=True)
    (torn / "adapter_model.safetensors").write_bytes(b"half")
    (torn / "trainer_state.json").unlink(missing_ok=True)

    refused = tiebreak("train", "demo", *overrides)
    assert refused.returncode == 1
    assert "already holds a run" in refused.stderr
    resumed = tiebreak("train", "demo", *overrides, "--resume", "--no-baselines")
    assert resumed.returncode == 0, resumed.stderr
    assert "Resuming at step" in resumed.stderr

    wanted = load_file(alone.folder.model / "adapter_model.safetensors")
    got = load_file(folder.model / "adapter_model.safetensors")
    assert got.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(got[name], tensor), name
    losses = [[line["loss"] for line in f.read_history() if "loss" in line] for f in (alone.folder, folder)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 24

    again = tiebreak("train", "demo", *overrides, "--resume", "--no-baselines", "--json")
    assert "finished already" in again.stderr
    assert json.loads(again.stdout)["metrics"] == json.loads(folder.metrics.read_text())


def test_killed_after_the_last_step_only_the_end_is_done_again(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path
) -> None:
    """The best checkpoint is what is kept, as if nothing had happened, and no step is trained twice."""
    overrides = small_overrides(tiny_base, votes, tmp_path / "run")
    done = train(load_recipe("demo", overrides))
    wanted = load_file(done.folder.model / "adapter_model.safetensors")
    done.folder.metrics.unlink()
    resumed = train(load_recipe("demo", overrides), resume=True)
    assert resumed.metrics == pytest.approx(done.metrics)
    for name, tensor in load_file(resumed.folder.model / "adapter_model.safetensors").items():
        assert torch.equal(tensor, wanted[name]), name


def test_two_processes_do_not_train_in_one_folder(tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    overrides = small_overrides(tiny_base, votes, folder.path, "training.max_steps=4")
    log: list[str] = []
    with folder.lock(resume=False):
        for resume in (False, True):
            refused = tiebreak("train", "demo", *overrides, *(["--resume"] if resume else []))
            assert refused.returncode == 1
            assert f"Another process is training in {folder}" in " ".join(refused.stderr.split())
    train(load_recipe("demo", overrides), resume=True, log=log.append)
    assert f"{folder} holds no run to resume. Starting a new one." in log
    assert folder.is_finished


def test_a_run_is_not_resumed_with_another_recipe(tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path) -> None:
    overrides = small_overrides(tiny_base, votes, tmp_path / "run", "training.max_steps=4")
    train(load_recipe("demo", overrides))
    with pytest.raises(RecipeError, match=r"training\.learning_rate was 0\.01, now 0\.5"):
        train(load_recipe("demo", [*overrides, "training.learning_rate=0.5"]), resume=True)


def test_a_full_disk_stops_the_run_with_a_remedy_and_loses_nothing(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiebreak.training import trainer as trainer_module

    overrides = small_overrides(tiny_base, votes, tmp_path / "run", "training.load_best_model_at_end=false")
    real, saved = trainer_module.save_adapter, 0

    def save_adapter(model: object, folder: Path) -> None:
        nonlocal saved
        saved += 1
        if saved == 2:
            raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
        real(model, folder)

    monkeypatch.setattr(trainer_module, "save_adapter", save_adapter)
    with pytest.raises(RunError, match=r"The disk is full: .*Free some space, then .* \(train: with --resume\)"):
        train(load_recipe("demo", overrides))
    monkeypatch.undo()
    resumed = train(load_recipe("demo", overrides), resume=True)
    uninterrupted = train(load_recipe("demo", [*overrides, f"output={tmp_path / 'whole'}"]))
    assert resumed.metrics == pytest.approx(uninterrupted.metrics)


def test_a_moved_run_is_taken_up_with_its_best_model(tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path) -> None:
    """The Trainer notes the best checkpoint by its path; here the best one is the first."""
    settings = ("training.learning_rate=0.3", "training.lr_scheduler_type=constant", "training.max_steps=8")
    overrides = small_overrides(
        tiny_base, votes, tmp_path / "here", *settings, "training.save_steps=2", "training.eval_steps=2"
    )
    done = train(load_recipe("demo", overrides))
    losses = {line["step"]: line["eval_loss"] for line in done.folder.read_history() if "eval_loss" in line}
    assert min(losses, key=lambda step: losses[step]) < 6, losses
    done.folder.metrics.unlink()
    for checkpoint in (done.folder.checkpoints / "checkpoint-8", None):  # stopped after the last step, and before it
        (tmp_path / "here").rename(tmp_path / "there")
        moved = train(load_recipe("demo", [*overrides, f"output={tmp_path / 'there'}"]), resume=True)
        assert moved.metrics == pytest.approx(done.metrics)
        moved.folder.metrics.unlink()
        (tmp_path / "there").rename(tmp_path / "here")
        if checkpoint is not None:
            shutil.rmtree(checkpoint)


def test_a_run_is_not_resumed_on_other_votes(tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path) -> None:
    mine = tmp_path / "train.csv"
    shutil.copy(votes[0], mine)
    overrides = small_overrides(tiny_base, (mine, votes[1]), tmp_path / "run", "training.max_steps=4")
    train(load_recipe("demo", overrides)).folder.metrics.unlink()
    lines = mine.read_text().splitlines(keepends=True)
    mine.write_text("".join(lines[:-1]))
    with pytest.raises(RecipeError, match="The votes are not those"):
        train(load_recipe("demo", overrides), resume=True)
    mine.write_text("".join(lines))
    train(load_recipe("demo", overrides), resume=True)
