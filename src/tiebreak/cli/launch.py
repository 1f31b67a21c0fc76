"""Several GPUs: one process each, started as torchrun would, but with one voice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time


def is_child() -> bool:
    """Whether this process is one of several that train together (ours or torchrun's)."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first_child() -> bool:
    """Whether this process speaks for the others."""
    return os.environ.get("RANK", "0") == "0"


def gpu_count() -> int:
    """How many GPUs this process may use."""
    import torch

    return torch.cuda.device_count()


def launch(processes: int) -> int:
    """Run this very command once a GPU, and return its exit status.

    The first process speaks; what the others print is shown only if one of them fails alone. If one ends badly, the
    others, which would wait for it forever, are ended too.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryFile() as others:
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
            quiet = None if rank == 0 else others
            command = [sys.executable, "-m", "tiebreak", *sys.argv[1:]]
            children.append(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet))
        status = _wait(children)
        if status and not children[0].returncode:
            others.seek(0)
            sys.stderr.write(others.read().decode(errors="replace"))
        return status


def _wait(children: list[subprocess.Popen[bytes]]) -> int:
    """Wait for all; the exit status of the first that failed, or 0."""
    try:
        while True:
            statuses = [child.poll() for child in children]
            if all(status == 0 for status in statuses):
                return 0
            if any(statuses):
                time.sleep(1)  # let the first child say the same thing in its own words
                return next(abs(status) for status in statuses if status)
            time.sleep(0.1)
    finally:
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait()
