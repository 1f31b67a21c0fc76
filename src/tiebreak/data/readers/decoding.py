"""Bytes to text."""

from __future__ import annotations


def decode(data: bytes) -> str:
    """Decode UTF-8. Surrogates that were encoded on their own are kept, for `tiebreak.unicode`.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogatepass")


def describe_decode_error(error: UnicodeDecodeError, before: int = 0) -> str:
    """The byte that is not UTF-8 and its position, counted from 1; `before` is the number of bytes before the data.

    >>> describe_decode_error(UnicodeDecodeError("utf-8", b"a\\xff", 1, 2, "invalid start byte"))
    '0xff at byte 2'
    """
    return f"0x{error.object[error.start]:02x} at byte {before + error.start + 1}"
