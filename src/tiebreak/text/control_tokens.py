"""Keep control tokens out of the texts of users and models.

Control tokens are a tokenizer's special tokens and the other added tokens that its chat template writes. One that a
text spells out is broken by a space after its first character. Normalizers (NFKC, Lowercase, Replace) turn other
characters into control tokens as well, and some models contain them as pieces, so ids are checked after encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tiebreak.text.tokenization import rust_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_NO_WORDS: Final = "\ue000 \U0010fffd"
"""Private characters, which become the unknown token where a tokenizer has no bytes for them."""
_CONTEXTS: Final = (("", ""), ("\n", "\n"), (" ", " "))
"""What may stand around a text in a template."""
_SPACES, _REPLACEMENTS, _DELETIONS = 3, 6, 60
"""A control token gets a space in the first rounds, then becomes U+FFFD, then is deleted."""


class ControlTokens:
    """The control tokens of a tokenizer.

    Args:
        tokenizer: with its added tokens.
        markers: contents of added tokens that count although they are not marked as special.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, markers: Iterable[str] = ()) -> None:
        self._tokenizer = tokenizer
        marked = set(markers)
        tokens = tokenizer.added_tokens_decoder
        control = {i: token.content for i, token in tokens.items() if token.special or token.content in marked}
        # An unknown character may become a special token (<unk>), which says nothing.
        unknown = set(rust_tokenizer(tokenizer).encode(_NO_WORDS, add_special_tokens=False).ids)
        self._is_control = np.zeros(max(control, default=0) + 1, dtype=np.bool_)
        self._is_control[[i for i in control if i not in unknown]] = True
        by_length = sorted({text for text in control.values() if len(text) > 1}, key=len, reverse=True)
        self._spelled = re.compile("|".join(map(re.escape, by_length)) or r"(?!)")

    def break_spelled(self, text: str) -> str:
        """The text with spelled-out control tokens broken."""
        return self._spelled.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)

    def count(self, ids: npt.NDArray[np.integer[Any]]) -> int:
        """The number of control tokens, without the unknown token."""
        return int(np.count_nonzero(self._is_control[ids[ids < self._is_control.size]]))

    def break_encoded(self, text: str) -> str:
        """The text changed until none of its tokens is a control token, in any context.

        Raises:
            ValueError: the tokenizer makes control tokens out of any text.
        """
        text = self.break_spelled(text)
        for turn in range(_DELETIONS):
            spans = sorted(self._spans(text), reverse=True)
            if not spans:
                return text
            edge = len(text)
            for start, end in spans:
                if end > edge:  # overlaps the span behind it, which was changed already
                    continue
                text = text[:start] + _broken(text[start:end], turn) + text[end:]
                edge = start
        if text:
            return self.break_encoded("")
        raise ValueError("the tokenizer makes special tokens out of an empty text: use another base model")

    def _spans(self, text: str) -> set[tuple[int, int]]:
        """The characters, as [start, end), that become control tokens."""
        spans: set[tuple[int, int]] = set()
        for before, after in _CONTEXTS:
            encoding = rust_tokenizer(self._tokenizer).encode(before + text + after, add_special_tokens=False)
            for index, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
                if index < self._is_control.size and self._is_control[index]:
                    span = max(start - len(before), 0), min(end - len(before), len(text))
                    if span[0] < span[1]:
                        spans.add(span)
        return spans


def _broken(token: str, turn: int) -> str:
    if turn >= _REPLACEMENTS:
        return ""
    spaces = len(token) - len(token.lstrip())  # tokens with `lstrip` include the spaces before them
    rest = token[spaces:]
    if turn >= _SPACES or len(rest) < 2:
        return "\ufffd"
    return f"{token[: spaces + 1]} {rest[1:]}"
