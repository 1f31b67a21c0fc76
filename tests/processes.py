"""Functions run in several processes of `torch.distributed`, which start in a moment: a server has torch already."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")


def run_processes(count: int, function: Callable[..., Any], folder: Path, *arguments: Any, timeout: float = 120) -> Any:
    """What `function(*arguments)` returned in each process, by rank, through JSON."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        _context.Process(target=_run, args=(rank, count, port, function, folder, arguments)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(timeout)
        assert [process.exitcode for process in processes] == [0] * count, "a process failed, or waits"
    finally:
        for process in processes:
            process.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(count)]


def _run(
    rank: int, count: int, port: int, function: Callable[..., Any], folder: Path, arguments: tuple[Any, ...]
) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    from torch import distributed

    distributed.init_process_group("gloo")
    returned = function(*arguments)
    (folder / f"{rank}.json").write_text(json.dumps(returned))
    if distributed.is_initialized():
        distributed.destroy_process_group()
