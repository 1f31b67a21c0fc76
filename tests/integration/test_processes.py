"""Two processes that share every step end with the weights of one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.conftest import small_overrides, tiebreak
from tiebreak import load_recipe, train
from tiebreak.cli import launch as launch_module
from tiebreak.data import load_comparisons, write_comparisons
from tiebreak.runs import RunFolder


@pytest.mark.parametrize(
    ("head", "weighted"),
    [("training.both_orders=true", False), ("model.head=pointwise", False), ("model.head=pointwise", True)],
)
def test_two_processes_learn_what_one_does(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, head: str, weighted: bool
) -> None:
    """Batches of 7 leave the processes unequal shares, and the last one of an epoch is shorter still."""
    if weighted:
        rows = load_comparisons(votes[0], votes="required")
        heavy = [replace(row, weight=(0.1, 4.0, 1.0, 0.0)[i % 4]) for i, row in enumerate(rows)]
        write_comparisons(tmp_path / "weighted.csv", heavy)
        votes = tmp_path / "weighted.csv", votes[1]
    settings = ("training.batch_size=7", head, "training.max_steps=16", "model.precision=fp32")
    alone = train(load_recipe("demo", small_overrides(tiny_base, votes, tmp_path / "alone", *settings)))
    together = RunFolder(tmp_path / "together")
    overrides = small_overrides(tiny_base, votes, together.path, *settings)
    ran = tiebreak("train", "demo", *overrides, "--gpus", "2", "--no-baselines")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("Validation log loss") == 1
    wanted = load_file(alone.folder.model / "adapter_model.safetensors")
    for name, tensor in load_file(together.model / "adapter_model.safetensors").items():
        torch.testing.assert_close(tensor, wanted[name], atol=1e-4, rtol=1e-3)
    one, two = ([line["loss"] for line in f.read_history() if "loss" in line] for f in (alone.folder, together))
    torch.testing.assert_close(torch.tensor(two), torch.tensor(one), atol=1e-4, rtol=0)


def test_an_error_in_all_processes_is_printed_once(votes: tuple[Path, Path], tmp_path: Path) -> None:
    overrides = small_overrides(tmp_path, votes, tmp_path / "run", "model.name=./nowhere")
    ran = tiebreak("train", "demo", *overrides, "--gpus", "2")
    assert ran.returncode == 1
    assert ran.stderr.count("Error:") == 1
    assert "There is no folder ./nowhere" in ran.stderr
    assert "Traceback" not in ran.stderr


FAILING = """
import os, sys
from tiebreak import cli
from tiebreak.errors import ModelError
if os.environ.get("RANK") == "1":
    def broken(*_, **__):
        {error}
    import tiebreak.training.model_setup as setup
    setup.load_base = broken
cli.main()
"""


@pytest.mark.parametrize(
    ("error", "message", "status"),
    [
        ("raise ModelError('the second GPU is broken')", "Error: the second GPU is broken", 1),
        ("raise ZeroDivisionError('a bug')", "ZeroDivisionError: a bug", 1),
        ("os.kill(os.getpid(), 9)", "Error: Process 1 was ended by SIGKILL.", 137),
    ],
)
def test_an_error_in_one_process_alone_is_printed(
    error: str, message: str, status: int, tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: Any,
) -> None:  # fmt: skip
    (tmp_path / "failing.py").write_text(FAILING.format(error=error))
    python = tmp_path / "python"  # python -m tiebreak ... runs failing.py
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {tmp_path}/failing.py "$@"\n')
    python.chmod(0o755)
    overrides = small_overrides(tiny_base, votes, tmp_path / "run", "training.max_steps=4")
    monkeypatch.setattr(sys, "argv", ["tiebreak", "train", "demo", *overrides])
    monkeypatch.setattr(sys, "executable", str(python))
    assert launch_module.launch(2) == status
    assert capfd.readouterr().err.count(message) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes(number: int, tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    overrides = small_overrides(tiny_base, votes, folder.path, "training.max_steps=5000", "training.save_steps=2",
                                "training.eval_steps=2")  # fmt: skip
    command = [sys.executable, "-m", "tiebreak", "train", "demo", *overrides, "--gpus", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 100
        while not any(folder.checkpoints.glob("*/trainer_state.json")):
            assert process.poll() is None, "ended too early"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        printed = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert printed.count("Stopped. Run the same command with --resume") == 1
    assert "Traceback" not in printed
    with folder.lock(resume=True):  # rank zero has ended
        pass
