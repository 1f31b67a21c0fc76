"""The command line in a process of its own that has the large libraries already.

Importing them takes seconds, and hundreds of commands are tried. A server that has imported them, and nothing of
Tiebreak, forks a process a command; what the command does, prints and exits with is what it would be elsewhere.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

LIBRARIES = [
    "bitsandbytes", "pandas", "peft", "pyarrow.parquet", "pydantic", "scipy.sparse", "torch", "transformers",
    "transformers.models.gemma2.modeling_gemma2", "transformers.trainer", "typer",
]  # fmt: skip

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(LIBRARIES)


def run_forked(
    arguments: Sequence[str], cwd: Path | None, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """`python -m tiebreak` with these arguments."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _context.Process(target=_run, args=(list(arguments), cwd, dict(environment), out, err))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(list(arguments), process.exitcode or 0, out.read_text(), err.read_text())


def _run(arguments: list[str], cwd: Path | None, environment: dict[str, str], out: Path, err: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    if cwd is not None:
        os.chdir(cwd)
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, _WRITE), (2, err, _WRITE)):
        os.dup2(os.open(path, flags), number)
    sys.argv = ["tiebreak", *arguments]
    runpy.run_module("tiebreak", run_name="__main__", alter_sys=True)


_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
