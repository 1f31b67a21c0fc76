"""Train on several GPUs: one process per GPU, started by torch's elastic launcher, with one output and one error."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.markup import escape

from tiebreak.cli.console import diagnostics, log
from tiebreak.extras import require_extra

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

STOPPED: Final = "Stopped. Run the same command with --resume to continue from the last checkpoint, if there is one."

_RUN_ID: Final = "tiebreak"
"""The processes of `launch` find it in TORCHELASTIC_RUN_ID; those of torchrun find another."""


def is_launched_rank() -> bool:
    """Whether this process is one of several that train together, started by `launch` or by torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def gpu_count() -> int:
    """The number of GPUs that this process may use."""
    require_extra("train", "training a language model")
    import torch

    return torch.cuda.device_count()


def report_error(message: str) -> None:
    """Print an error; a process that `launch` started leaves that to `launch`, so that it is printed once."""
    if os.environ.get("TORCHELASTIC_RUN_ID") == _RUN_ID:
        # The format of torch.distributed.elastic.multiprocessing.errors.ErrorHandler.
        error = {"message": message, "extraInfo": {"timestamp": str(int(time.time()))}}
        Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps({"message": error}), encoding="utf-8")
    else:
        diagnostics.print(f"[bold red]Error:[/] {escape(message)}")


def launch(processes: int) -> int:
    """Run this command in one process per GPU and return its exit status.

    Rank zero writes to the terminal, the others into temporary files. If a rank fails, the others are ended and the
    error of the rank that failed first is printed. A signal ends all ranks.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # it logs every failure at length
    with tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=_RUN_ID,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",  # a free port
            rdzv_configs={"is_host": True},
            local_addr="127.0.0.1",
            max_restarts=0,
            monitor_interval=0.1,
            logs_specs=DefaultLogsSpecs(log_dir=logs, redirects=dict.fromkeys(range(1, processes), Std.ALL)),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "tiebreak", *sys.argv[1:])
        except ChildFailedError as error:
            return _report_failure(*error.get_first_failure(), Path(logs))
        except SignalException as error:
            if error.sigval != signal.SIGINT:  # which rank zero answers itself
                log(STOPPED)
            return 128 + error.sigval
    return 0


def _report_failure(rank: int, failure: ProcessFailure, logs: Path) -> int:
    """Print why a rank failed and return the exit status."""
    error_file = Path(failure.error_file)
    if error_file.is_file():
        report_error(json.loads(error_file.read_text(encoding="utf-8"))["message"]["message"])
        return failure.exitcode
    if failure.exitcode < 0:
        report_error(f"Process {rank} was ended by {failure.signal_name()}. It may have run out of memory.")
        return 128 - failure.exitcode
    for output in logs.glob(f"**/{rank}/stderr.log"):  # rank zero's is on the terminal already
        sys.stderr.write(output.read_text(encoding="utf-8", errors="replace"))
    return failure.exitcode
