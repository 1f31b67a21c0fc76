"""Read the bytes of a file in pieces of bounded size, decompressed if necessary."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from tiebreak.data.readers.limits import MAX_ROW_BYTES, check_ratio, check_unpacked, exceeds_ratio, row_too_large
from tiebreak.errors import DataError

OnProgress = Callable[[int, int], None]
"""Called from time to time with the work done and the total, in units of its own."""

_CHUNK: Final = 2**20
_UTF8_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF16_BYTE_ORDER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_SPECIAL: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class _Reader(Protocol):
    """What `gzip` and `open` have in common."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


def check_regular_file(path: Path) -> int:
    """The size of a file, found without opening it: opening a pipe waits until somebody writes to it.

    Raises:
        DataError: there is no such file, or it is a folder, a pipe, a device or a socket, or empty.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            target = path.readlink()
            raise DataError(f"{path} is a link to {target}, which does not exist: give the file itself.") from None
        raise DataError(
            f"{path} does not exist: check the path; relative paths start at {Path.cwd()}.{near_names(path)}"
        ) from None
    except (OSError, ValueError) as error:  # a loop of links, a folder that may not be entered, a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{str(path)!r} cannot be read: {reason}. Check the path.") from error
    if stat.S_ISDIR(status.st_mode):
        raise DataError(
            f"{path} is a folder: name one file of votes in it. A folder with a README.md, as the data sets of the hub "
            "have, is read as a data set."
        )
    for is_special, kind in _SPECIAL:
        if is_special(status.st_mode):
            raise DataError(f"{path} is {kind}, not a file: write what it gives to a file, and name that.")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read: permission denied. Change its permissions, or copy it.")
    if not status.st_size:
        raise DataError(f"{path} is empty (0 bytes): there is nothing to read in it.")
    return status.st_size


def near_names(path: Path) -> str:
    """The names in the folder of a missing file that are most like its own, in a sentence; empty if there are none."""
    try:
        names = sorted(found.name for found in path.parent.iterdir())
    except OSError:  # no such folder
        return ""
    close = get_close_matches(path.name, names, n=3)
    return f" Names like it in {path.parent.absolute()}: {', '.join(close)}." if close else ""


class InputFile:
    """A file to read in one or several passes, which has to stay as it is meanwhile.

    Args:
        path: of a regular file; one that ends in `.gz` is decompressed.
        on_progress: called with the bytes of the file read so far in all passes, and the bytes of `passes` passes.

    Raises:
        DataError: see `check_regular_file`.
    """

    def __init__(self, path: Path, on_progress: OnProgress | None = None) -> None:
        self.name = str(path)
        self.passes = 1
        """The number of passes that will be made; more than one if the first cannot hold the rows."""
        self._path = path
        self.size = check_regular_file(path)
        """In bytes, as stored."""
        self._on_progress = on_progress
        self._passed = 0

    def lines(self) -> Iterator[bytes]:
        """The lines, with their ends, without a UTF-8 byte order mark.

        Raises:
            DataError: a line is longer than `MAX_ROW_BYTES`, or see `chunks`.
        """
        for number, line in enumerate(self._pieces(lambda file: file.readline(MAX_ROW_BYTES + 1)), 1):
            if len(line) > MAX_ROW_BYTES:
                raise row_too_large(
                    self.name, f"line {number}", "If it is not that long, the ends of lines are missing."
                )
            yield line

    def chunks(self) -> Iterator[bytes]:
        """Pieces of the file, without a UTF-8 byte order mark.

        Raises:
            DataError: the file cannot be read, is UTF-16, unpacks to more than the limits allow, or has another size at
                the end than at the start.
        """
        return self._pieces(lambda file: file.read(_CHUNK))

    def first_visible_byte(self) -> bytes:
        """The first byte that is not white space; empty if there is none."""
        return next((piece[:1] for chunk in self.chunks() if (piece := chunk.lstrip())), b"")

    def _pieces(self, read: Callable[[_Reader], bytes]) -> Iterator[bytes]:
        packed = self._path.suffix.lower() == ".gz"
        try:
            with self._path.open("rb") as raw, gzip.GzipFile(fileobj=raw) if packed else raw as file:
                if packed:
                    self._measure(raw)
                total = reported = 0
                while piece := read(file):
                    if not total:
                        if piece.startswith(_UTF16_BYTE_ORDER_MARKS):
                            raise DataError(f"{self.name} is UTF-16: save it as UTF-8.")
                        piece = piece.removeprefix(_UTF8_BYTE_ORDER_MARK)
                        total = len(_UTF8_BYTE_ORDER_MARK)
                    total += len(piece)
                    if total - reported >= _CHUNK:
                        reported = total
                        if packed:
                            self._check_unpacked(total)
                        self._report(raw.tell() if packed else total)
                    if piece:
                        yield piece
                if os.fstat(raw.fileno()).st_size != self.size:
                    raise DataError(f"{self.name} changed while it was read: try again when it is written completely.")
                self._passed += self.size
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.name} cannot be read: {error}") from error

    def _check_unpacked(self, unpacked: int) -> None:
        check_unpacked(self.name, unpacked)
        check_ratio(self.name, unpacked, self.size, "unpack it, and give the unpacked file")

    def _measure(self, raw: BinaryIO) -> None:
        """Unpack a file that seems to unpack to too much, before time is spent on its rows.

        The last bytes hold the unpacked size modulo 2**32, unless the file is damaged.
        """
        raw.seek(-min(4, self.size), os.SEEK_END)
        if exceeds_ratio(int.from_bytes(raw.read(4), "little"), self.size):
            raw.seek(0)
            unpacked = 0
            with gzip.GzipFile(fileobj=raw) as file:
                while piece := file.read(_CHUNK):
                    unpacked += len(piece)
                    self._check_unpacked(unpacked)
        raw.seek(0)

    def _report(self, read: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self._passed + min(read, self.size), self.passes * self.size)
