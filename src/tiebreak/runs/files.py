"""Files and folders written completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tiebreak.errors import RunError


@contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong in writing `path` into a RunError that says what to do.

    Libraries underneath report a full disk as OSError, as RuntimeError (torch) or as an error of their own
    (safetensors), so for those that are not an OSError the disk itself is asked.
    """
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if full or (not isinstance(error, OSError) and _free_bytes(path) < 2**20):
            raise RunError(
                f"The disk is full: {path} could not be written ({_free_bytes(path) / 2**20:.0f} MiB are free). "
                "What was complete before is untouched. Free some space, then go on (train: with --resume)."
            ) from error
        if isinstance(error, OSError):
            raise RunError(f"{path} could not be written: {error.strerror or error}.") from error
        raise


def _free_bytes(path: Path) -> int:
    existing = next(p for p in [path, *path.absolute().parents] if p.exists())
    return shutil.disk_usage(existing).free


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a new file, then put it in the place of `path` in one step.

    Raises:
        RunError: the disk is full or the folder cannot be written to; `path` is as it was.
    """
    if path.exists() and not path.is_file():  # a device or a pipe: there is nothing to replace
        with translate_write_errors(path):
            write(path)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with translate_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with translate_write_errors(path):
            write(draft)
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.replace(path)
    finally:
        with suppress(OSError):  # a read-only folder refuses even to look
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all. Raises RunError as `write_atomically` does."""

    def write(draft: Path) -> None:
        draft.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all. Raises RunError as `write_atomically` does."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def write_folder_atomically(target: Path) -> Iterator[Path]:
    """A draft folder to fill, renamed to `target` when the block ends; after an error neither exists.

    Raises:
        RunError: the disk is full or the folder cannot be written to.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with translate_write_errors(target):
            draft.mkdir(parents=True)
        yield draft
        with translate_write_errors(target):
            with suppress(OSError):  # some systems do not rename onto an empty folder
                target.rmdir()
            draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
