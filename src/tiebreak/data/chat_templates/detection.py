"""Parse rendered text of an unknown policy with all templates that are known, and text that has no template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final, Protocol

from tiebreak.data.chat_templates.known import KNOWN_TEMPLATES
from tiebreak.data.chat_templates.parsing import ChatTemplateParser, Parsed, strip_tokens, text_size

_TOKEN: Final = (
    r"(?:<[|｜][^<>\s]{1,60}>|<[^<>\s]{1,60}[|｜]>|</?s>|<</?SYS>>|\[/?[A-Z_]{3,60}\]|<\w{1,20}_of_\w{1,20}>)"
)
_TOKEN_AT_START: Final = re.compile(_TOKEN)
_TOKEN_AT_END: Final = re.compile(_TOKEN + r"\Z")
_EMPTY_THOUGHTS: Final = re.compile(r"\A<think>\n?\n?</think>\n?\n?")


class RenderedTextParser(Protocol):
    """Recovers messages from rendered text."""

    def parse_completion(self, prompt: str, completion: str) -> Parsed | None:
        """The messages in a prompt and the reply to them; None if the text was not understood."""

    def parse_chat(self, text: str) -> Parsed | None:
        """The messages and the last reply of a whole conversation; None if the text was not understood."""

    def has_markers(self, text: str) -> bool:
        """Whether a template that is known rendered parts of the text."""


class TemplateDetector:
    """Parses with several templates.

    If several of them render a text, the result is the one that attributes the most text to its template, for instance
    the one without a system message that a template adds by itself. Its messages must be parts of those of all other
    results; otherwise the text is ambiguous, and not understood. A result with a special token at the start or end of a
    message does not count: the token belongs to another template, which is similar.

    Args:
        parsers: of the templates.
    """

    def __init__(self, parsers: Sequence[ChatTemplateParser]) -> None:
        self._parsers = tuple(parsers)

    def parse_completion(self, prompt: str, completion: str) -> Parsed | None:
        """As in `ChatTemplateParser`."""
        return self._parse(prompt, completion)

    def parse_chat(self, text: str) -> Parsed | None:
        """As in `ChatTemplateParser`."""
        return self._parse(text, None)

    def has_markers(self, text: str) -> bool:
        """As in `ChatTemplateParser`, for any of the templates."""
        return any(parser.has_markers(text) for parser in self._parsers)

    def _parse(self, prompt: str, completion: str | None) -> Parsed | None:
        for spaced in (False, True):
            parsed = [parser.parse(prompt, completion, spaced=spaced) for parser in self._parsers]
            readings = [_without_foreign_text(reading) for reading in parsed if reading is not None]
            readings = [reading for reading in readings if not any(_has_token_at_edge(text) for _, text in reading[0])]
            if readings:
                best = min(readings, key=text_size)
                return best if all(_is_within(best, other) for other in readings) else None
        return None


class PlainTextParser:
    """For policies without a chat template: a prompt is one message of the user."""

    def parse_completion(self, prompt: str, completion: str) -> Parsed | None:
        """The prompt without BOS tokens, and the completion without padding and the tokens that end it."""
        return strip_tokens(prompt, completion)

    def parse_chat(self, text: str) -> Parsed | None:
        """None: prompt and reply cannot be separated."""
        del text
        return None

    def has_markers(self, text: str) -> bool:
        """False: there is no template."""
        del text
        return False


@cache
def known_parser(name: str) -> ChatTemplateParser:
    """The parser of a template in `KNOWN_TEMPLATES`."""
    return ChatTemplateParser(KNOWN_TEMPLATES[name])


PLAIN: Final = PlainTextParser()


def _has_token_at_edge(content: str) -> bool:
    content = content.strip()
    return _TOKEN_AT_START.match(content) is not None or _TOKEN_AT_END.search(content[-80:]) is not None


def _is_within(parsed: Parsed, other: Parsed) -> bool:
    """Whether each message of one result is contained in that of the other, system messages aside."""
    (messages, reply), (other_messages, other_reply) = parsed, other
    own, others = ([one for one in both if one[0] != "system"] for both in (messages, other_messages))
    if [role for role, _ in own] != [role for role, _ in others]:
        return False
    pairs = [*zip(own, others, strict=True), (("assistant", reply), ("assistant", other_reply))]
    return all(content.strip() in other_content for (_, content), (_, other_content) in pairs)


def _without_foreign_text(parsed: Parsed) -> Parsed:
    """Without text of templates that only resemble the known one: empty blocks of thoughts, and end tokens."""
    messages, reply = parsed
    kept = ((role, _EMPTY_THOUGHTS.sub("", content) if role == "assistant" else content) for role, content in messages)
    return tuple(kept), _EMPTY_THOUGHTS.sub("", strip_tokens("", reply)[1])
