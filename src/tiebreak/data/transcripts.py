"""Conversations written as one text with `Human:` and `Assistant:` before each turn, as in HH-RLHF."""

from __future__ import annotations

import re
from typing import Final

from tiebreak.data.message_content import Message

_MARKER: Final = re.compile(r"\n\n(Human|Assistant):")
_ROLES: Final = {"Human": "user", "Assistant": "assistant"}


def is_transcript(text: object) -> bool:
    """Whether a text begins as a transcript does: two line ends, `Human:` or `Assistant:`.

    >>> is_transcript("\\n\\nHuman: Hi\\n\\nAssistant: Hello"), is_transcript("Human: Hi")
    (True, False)
    """
    return isinstance(text, str) and _MARKER.match(text) is not None


def parse_transcript(text: str) -> tuple[Message, ...]:
    """The messages of a transcript. Spaces around a turn are no part of it.

    >>> parse_transcript("\\n\\nHuman: Hi\\n\\nAssistant: Hello")
    (('user', 'Hi'), ('assistant', 'Hello'))
    """
    _, *parts = _MARKER.split(text)
    return tuple((_ROLES[name], content.strip()) for name, content in zip(parts[::2], parts[1::2], strict=True))


def parse_transcript_prompt(text: str) -> tuple[Message, ...]:
    """The messages of a transcript that is a prompt. A last turn without text is where the answer belongs.

    >>> parse_transcript_prompt("\\n\\nHuman: Hi\\n\\nAssistant:")
    (('user', 'Hi'),)
    """
    messages = parse_transcript(text)
    return messages[:-1] if messages[-1:] == (("assistant", ""),) else messages
