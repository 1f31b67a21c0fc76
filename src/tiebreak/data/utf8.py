"""Bytes -> text, and text that any encoder can take."""

from __future__ import annotations

import re
from typing import Final

_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


def decode(data: bytes) -> str:
    """UTF-8 as text; surrogates that were encoded on their own come through, to be repaired with the others.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogatepass")


def undecodable(error: UnicodeDecodeError) -> str:
    """Which byte was not UTF-8, for people; positions count from 1."""
    return f"0x{error.object[error.start]:02x} at byte {error.start + 1}"


def repair(text: str) -> tuple[str, int]:
    """The text with every lone surrogate and NUL replaced by U+FFFD, and how many there were."""
    if "\x00" not in text:
        try:
            text.encode()  # far quicker than searching, and nearly every text passes
        except UnicodeEncodeError:
            pass
        else:
            return text, 0
    return _NOT_TEXT.subn("\ufffd", text)
