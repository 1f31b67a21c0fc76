"""Write files and folders completely or not at all."""

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
    """Turn errors of writing `path` into a RunError with a remedy.

    Libraries report a full disk as OSError, as RuntimeError (torch) or as their own error (safetensors), so for other
    errors than OSError the free space decides.

    Raises:
        RunError: the disk is full, or `path` cannot be written.
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
                "Complete files are untouched. Free some space, then run the command again (train: with --resume)."
            ) from error
        if isinstance(error, OSError):
            raise RunError(f"{path} could not be written: {error.strerror or error}.") from error
        raise


def _free_bytes(path: Path) -> int:
    existing = next(p for p in [path, *path.absolute().parents] if p.exists())
    return shutil.disk_usage(existing).free


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then rename it to `path`.

    Raises:
        RunError: the disk is full or the folder cannot be written to; `path` is unchanged.
    """
    if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
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
        with suppress(OSError):  # in a read-only folder
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises RunError as `write_atomically` does."""

    def write(draft: Path) -> None:
        draft.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically. Raises RunError as `write_atomically` does."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def write_folder_atomically(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a draft folder to fill; it is renamed to `target` when the block ends, and removed after an error.

    Args:
        target: the folder to write.
        replace: remove a folder that is there, after the draft is complete. Otherwise only an empty one is replaced.

    Raises:
        RunError: the disk is full or the folder cannot be written to.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with translate_write_errors(target):
            draft.mkdir(parents=True)
        yield draft
        with translate_write_errors(target):
            if replace and target.exists():
                shutil.rmtree(target)
            with suppress(OSError):  # some systems do not rename onto an empty folder
                target.rmdir()
            draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
