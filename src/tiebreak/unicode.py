"""Characters that texts may not have: lone surrogates, NUL, and line ends other than a line feed."""

from __future__ import annotations

import re
from typing import Final

_INVALID: Final = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    r"""The text as judges read it: line ends are `\n`, and lone surrogates and NUL are U+FFFD.

    `\r\n` and a lone `\r` are line ends; they depend on the system that wrote a text, not on its writer. U+0085,
    U+2028 and other separators stay: no file format and no transport exchanges them for a line feed.

    >>> clean_text("a\r\nb\rc\x00")
    'a\nb\nc\ufffd'
    """
    return replace_invalid_characters(unify_line_ends(text))[0]


def unify_line_ends(text: str) -> str:
    r"""The text with `\n` as its only line end.

    >>> unify_line_ends("a\r\nb\rc")
    'a\nb\nc'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def replace_invalid_characters(text: str) -> tuple[str, int]:
    """The text with every lone surrogate and NUL replaced by U+FFFD, and the number of replacements.

    UTF-8 cannot encode the former; tokenizers, Parquet and C libraries treat the latter in different ways.

    >>> replace_invalid_characters("a\\ud83d")
    ('a\ufffd', 1)
    """
    if "\x00" not in text:
        if text.isascii():
            return text, 0
        try:
            text.encode()  # much faster than the expression, and nearly every text passes
        except UnicodeEncodeError:
            pass
        else:
            return text, 0
    return _INVALID.subn("\ufffd", text)
