"""Several GPUs: one process each, started as torchrun would, but with one voice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tiebreak.extras import require_extra

TOLD: Final = 75
"""How a child ends that has said in one message what is wrong."""


def is_launched_rank() -> bool:
    """Whether this process is one of several that train together (ours or torchrun's)."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_rank_zero() -> bool:
    """Whether this process speaks for the others."""
    return os.environ.get("RANK", "0") == "0"


def gpu_count() -> int:
    """How many GPUs this process may use."""
    require_extra("train", "training a language model")
    import torch

    return torch.cuda.device_count()


def launch(processes: int) -> int:
    """Run this very command once a GPU, and return its exit status.

    The first process speaks; of the others, what the one that failed first had to say is shown. If one ends badly, the
    rest, which would wait for it forever, are ended too.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory() as folder:
        children = []
        for rank in range(processes):
            environment = os.environ | {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(processes),
                "LOCAL_WORLD_SIZE": str(processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            command = [sys.executable, "-m", "tiebreak", *sys.argv[1:]]
            if rank == 0:
                _said(folder, rank).touch()
                children.append(subprocess.Popen(command, env=environment))
            else:
                with _said(folder, rank).open("wb") as said:
                    children.append(subprocess.Popen(command, env=environment, stdout=said, stderr=said))
        failed = _wait(children)
        if failed is None:
            return 0
        if children[0].returncode != TOLD:  # else the first process has said what is wrong, as it is in all of them
            sys.stderr.write(_said(folder, failed).read_text(encoding="utf-8", errors="replace"))
        status = children[failed].returncode
        return 1 if status == TOLD else abs(status)


def _said(folder: str, rank: int) -> Path:
    return Path(folder) / f"process-{rank}.txt"


def _end(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)  # by way of the `finally` that ends the children


def _wait(children: list[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all; which one failed first, or None if none did."""
    try:
        while True:
            failed = [rank for rank, child in enumerate(children) if child.poll()]
            if failed:
                _wait_a_little(children[0])
                return failed[0]
            if all(child.poll() == 0 for child in children):
                return None
            time.sleep(0.05)
    finally:
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait()


def _wait_a_little(child: subprocess.Popen[bytes]) -> None:
    """Give a child time to meet the same error as another did."""
    deadline = time.monotonic() + 5
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
