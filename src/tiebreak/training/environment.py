"""The versions, hardware and git state that a run records."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import Any, Final

from tiebreak._version import installed_version
from tiebreak.training.distributed import world_size

_PACKAGES: Final = (
    "tiebreak",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "tokenizers",
    "numpy",
    "lightgbm",
    "scikit-learn",
)


def describe_environment(seed: int) -> dict[str, Any]:
    """Versions, hardware, seed and git state of a run of a language model."""
    import torch

    return describe_machine(seed) | {
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
    }


def describe_machine(seed: int) -> dict[str, Any]:
    """The same without GPUs, for baselines: torch is not imported."""
    return {
        "python": platform.python_version(),
        "packages": {name: installed_version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "cpu_cores": os.cpu_count(),
        "processes": world_size(),
        "seed": seed,
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any] | None:
    """Commit of the current folder and whether it has uncommitted changes; None outside a repository."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        status = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(status.stdout.strip())}
