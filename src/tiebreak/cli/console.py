"""The command line's output: results on standard output, diagnostics (messages and progress) on standard error."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

results = Console(emoji=False, highlight=False, soft_wrap=True)
diagnostics = Console(stderr=True, emoji=False, highlight=False, soft_wrap=True)


def progress_bar(description: TextColumn, unit: str) -> Progress:
    """A progress bar on standard error, drawn only in a terminal and removed when it ends."""
    return Progress(
        description,
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=diagnostics,
        transient=True,
        disable=not diagnostics.is_terminal,
    )


def status(message: str) -> AbstractContextManager[object]:
    """A spinner with a message on standard error; nothing outside a terminal."""
    return diagnostics.status(message) if diagnostics.is_terminal else nullcontext()


def program() -> str:
    """The command that starts this program: its name if the shell finds it, else its path."""
    if shutil.which("tiebreak"):
        return "tiebreak"
    script = Path(sys.executable).with_name("tiebreak")
    return os.path.relpath(script) if script.exists() else f"{sys.executable} -m tiebreak"


def log(sentence: str) -> None:
    """Print one sentence on standard error."""
    diagnostics.print(sentence, markup=False)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def quiet_libraries() -> None:
    """Silence the libraries underneath, except for their errors and the hub's download bars.

    Call it before they are imported: bitsandbytes logs what it lacks on import.
    """
    if find_spec("transformers") is None:  # the core install
        return
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from huggingface_hub.utils import enable_progress_bars
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    enable_progress_bars()  # the hub's, which transformers disabled too: a download of gigabytes should be visible
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(torch|peft|bitsandbytes|accelerate)\b")
