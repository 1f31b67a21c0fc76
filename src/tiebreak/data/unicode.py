"""Bytes to text, and text that every encoder accepts."""

from __future__ import annotations

import re
from typing import Final

_INVALID: Final = re.compile("[\x00\ud800-\udfff]")


def decode(data: bytes) -> str:
    """Decode UTF-8. Surrogates that were encoded on their own are kept, for `replace_lone_surrogates`.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogatepass")


def describe_decode_error(error: UnicodeDecodeError) -> str:
    """The byte that is not UTF-8 and its position, counted from 1.

    >>> describe_decode_error(UnicodeDecodeError("utf-8", b"a\\xff", 1, 2, "invalid start byte"))
    '0xff at byte 2'
    """
    return f"0x{error.object[error.start]:02x} at byte {error.start + 1}"


def replace_lone_surrogates(text: str) -> tuple[str, int]:
    """The text with every lone surrogate and NUL replaced by U+FFFD, and the number of replacements.

    >>> replace_lone_surrogates("a\\ud83d")
    ('a\ufffd', 1)
    """
    if "\x00" not in text:
        try:
            text.encode()  # much faster than the expression, and nearly every text passes
        except UnicodeEncodeError:
            pass
        else:
            return text, 0
    return _INVALID.subn("\ufffd", text)
