"""Where a run happens: this process among its siblings, and what it runs on."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import Any, Final

from tiebreak._version import installed_version

_PACKAGES: Final = (
    "tiebreak",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "tokenizers",
    "numpy",
    "scikit-learn",
)


def process_index() -> int:
    """This process's number among those torchrun started; 0 for a lone one."""
    return int(os.environ.get("RANK", "0"))


def process_count() -> int:
    """How many processes torchrun started; 1 for a lone one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def describe_environment(seed: int) -> dict[str, Any]:
    """Versions, hardware, seed and git state, to be kept beside a run's numbers."""
    import torch

    return describe_machine(seed) | {
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
    }


def describe_machine(seed: int) -> dict[str, Any]:
    """The same but for GPUs: what a classical judge runs on, without torch."""
    return {
        "python": platform.python_version(),
        "packages": {name: installed_version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "cpu_cores": os.cpu_count(),
        "processes": process_count(),
        "seed": seed,
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any] | None:
    """Commit of the folder the run was started in, and whether anything in it was changed; None outside a checkout."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        status = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(status.stdout.strip())}
