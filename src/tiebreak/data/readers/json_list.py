"""Read the items of a JSON list one by one, so that a list of any length takes little memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from tiebreak.data.readers.decoding import decode, describe_decode_error
from tiebreak.data.readers.limits import MAX_ROW_BYTES, row_too_large
from tiebreak.errors import DataError

ParseItem = Callable[[str, int], tuple[object, int]]
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def read_items(name: str, chunks: Iterator[bytes], parse_item: ParseItem) -> Iterator[tuple[object, int]]:
    """The items of a list, each with its number of characters.

    Args:
        name: of the file, for messages.
        chunks: of the file, in UTF-8; the first character that is not white space is a bracket.
        parse_item: see `tiebreak.data.readers.json_reader.parse_json_item`.

    Raises:
        DataError: the data is not a JSON list in UTF-8, or an item exceeds `MAX_ROW_BYTES`.
    """
    text = _Buffer(name, chunks)
    text.skip_space()
    text.position += 1  # the caller has checked for the bracket
    number = 0
    if text.skip_space() == "]":
        text.position += 1
    else:
        while True:
            number += 1
            yield _item(name, text, number, parse_item)
            separator = text.skip_space()
            if separator not in {",", "]"}:
                raise _not_a_list(name, "Expecting ',' delimiter", text.consumed + text.position)
            text.position += 1
            if separator == "]":
                break
            text.skip_space()
    if text.skip_space():
        raise _not_a_list(name, "Extra data", text.consumed + text.position)


class _Buffer:
    """The decoded text that was read and not yet used, from `position` on."""

    def __init__(self, name: str, chunks: Iterator[bytes]) -> None:
        self.text = ""
        self.position = 0
        self.consumed = 0
        """Characters of the file before `text`."""
        self._decoded = _decode(name, chunks)

    def fill(self) -> bool:
        """Read on, at least as much as there is, so that repeated attempts take linear time; False at the end."""
        pieces = [self.text[self.position :]]
        wanted = length = len(pieces[0])
        for piece in self._decoded:
            pieces.append(piece)
            length += len(piece)
            if length >= 2 * wanted:
                break
        if len(pieces) == 1:
            return False
        self.consumed += self.position
        self.text, self.position = "".join(pieces), 0
        return True

    def skip_space(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            match = _SPACE.match(self.text, self.position)
            self.position = match.end() if match else self.position
            if self.position < len(self.text):
                return self.text[self.position]
            if not self.fill():
                return ""


def _item(name: str, text: _Buffer, number: int, parse_item: ParseItem) -> tuple[object, int]:
    while True:
        error: ValueError | None = None
        try:
            value, end = parse_item(text.text, text.position)
        except json.JSONDecodeError as problem:
            error = problem
        except ValueError as problem:
            raise DataError(f"{name}, row {number}, cannot be read: {problem}. Fix or remove that item.") from None
        else:
            size = end - text.position
            if end < len(text.text) and size <= MAX_ROW_BYTES:  # a number may go on behind the end of what was read
                text.position = end
                return value, size
        if len(text.text) - text.position > MAX_ROW_BYTES:
            raise row_too_large(name, f"row {number}")
        if not text.fill():
            if isinstance(error, json.JSONDecodeError):
                raise _not_a_list(name, error.msg, text.consumed + error.pos)
            raise _not_a_list(name, "Expecting ',' delimiter", text.consumed + len(text.text))


def _not_a_list(name: str, reason: str, position: int) -> DataError:
    """`position` is counted from 0."""
    return DataError(
        f"{name} is not a JSON list: {reason} at character {position + 1}. Fix it, or write one JSON object per line."
    )


def _decode(name: str, chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    position = 0
    for chunk in chunks:
        data = rest + chunk
        complete = len(data) - _incomplete(data)
        data, rest = data[:complete], data[complete:]
        yield _text(name, data, position)
        position += len(data)
    if rest:
        yield _text(name, rest, position)


def _incomplete(data: bytes) -> int:
    """The number of bytes at the end that may be the beginning of a character."""
    for count in range(1, min(4, len(data)) + 1):
        byte = data[-count]
        if byte & 0xC0 != 0x80:  # not within a character
            return count if byte >= 0xC0 else 0
    return 0


def _text(name: str, data: bytes, position: int) -> str:
    try:
        return decode(data)
    except UnicodeDecodeError as error:
        place = describe_decode_error(error, position)
        raise DataError(f"{name} is not UTF-8: {place}. Save it as UTF-8.") from error
