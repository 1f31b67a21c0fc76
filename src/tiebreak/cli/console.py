"""Where the command line writes: results on standard output, everything about them on standard error."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

results = Console(highlight=False, soft_wrap=True)
problems = Console(stderr=True, highlight=False, soft_wrap=True)


def progress_bar(description: TextColumn, unit: str) -> Progress:
    """A bar on standard error that goes away when it is done, and is drawn only where there is a terminal."""
    return Progress(
        description,
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=problems,
        transient=True,
        disable=not problems.is_terminal,
    )


def program() -> str:
    """How to call this program again: by name where the shell would find it, else by its path."""
    if shutil.which("tiebreak"):
        return "tiebreak"
    beside = Path(sys.executable).with_name("tiebreak")
    return os.path.relpath(beside) if beside.exists() else f"{sys.executable} -m tiebreak"


def log(sentence: str) -> None:
    """Say one sentence about what goes on."""
    problems.print(sentence, markup=False)


def print_json(value: Any) -> None:
    """Write a value for a script to read."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def quiet_libraries() -> None:
    """Keep the libraries underneath from writing between our lines; their errors still show.

    To be called before they are imported: bitsandbytes says what it lacks as it loads.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if find_spec("transformers") is None:
        return
    from huggingface_hub.utils import enable_progress_bars
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    enable_progress_bars()  # the hub's, which transformers turned off too: a download of gigabytes should show
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(torch|peft|bitsandbytes|accelerate)\b")
