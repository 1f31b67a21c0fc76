"""Two processes that share every step end with the weights of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.conftest import small_overrides, tiebreak
from tiebreak import load_recipe, train
from tiebreak.cli import launch as launch_module
from tiebreak.runs import RunFolder


@pytest.mark.parametrize("head", ["training.both_orders=true", "model.head=pointwise"])
def test_two_processes_learn_what_one_does(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, head: str
) -> None:
    """Batches of 7 leave the processes unequal shares, and the last one of an epoch is shorter still."""
    settings = ("training.batch_size=7", head, "training.max_steps=16", "model.precision=fp32")
    alone = train(load_recipe("demo", small_overrides(tiny_base, votes, tmp_path / "alone", *settings)))
    together = RunFolder(tmp_path / "together")
    ran = tiebreak("train", "demo", *small_overrides(tiny_base, votes, together.path, *settings), "--gpus", "2")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("Validation log loss") == 1
    wanted = load_file(alone.folder.model / "adapter_model.safetensors")
    for name, tensor in load_file(together.model / "adapter_model.safetensors").items():
        torch.testing.assert_close(tensor, wanted[name], atol=1e-4, rtol=1e-3)
    one, two = ([line["loss"] for line in f.read_history() if "loss" in line] for f in (alone.folder, together))
    torch.testing.assert_close(torch.tensor(two), torch.tensor(one), atol=1e-4, rtol=0)


def test_an_error_in_all_processes_is_told_once(votes: tuple[Path, Path], tmp_path: Path) -> None:
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
from tiebreak.models import base
if os.environ.get("RANK") == "1":
    def broken(*_, **__):
        raise ModelError("the second card's own trouble")
    import tiebreak.training.model_setup as build
    build.load_base = broken
cli.main()
"""


def test_an_error_in_one_process_alone_is_told(
    tiny_base: Path, votes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    program = tmp_path / "failing.py"
    program.write_text(FAILING)
    overrides = small_overrides(tiny_base, votes, tmp_path / "run", "training.max_steps=4")
    real = subprocess.Popen
    monkeypatch.setattr(sys, "argv", ["tiebreak", "train", "demo", *overrides])
    monkeypatch.setattr(
        launch_module.subprocess,
        "Popen",
        lambda command, **more: real([command[0], str(program), *command[3:]], **more),
    )
    assert launch_module.launch(2) == 1
    assert "Error: the second card's own trouble" in capfd.readouterr().err
