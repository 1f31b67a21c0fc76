"""Parse rendered text of an unknown policy with all templates that are known, and text that has no template."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, Protocol

from tiebreak.data.chat_templates.known import KNOWN_TEMPLATES
from tiebreak.data.chat_templates.parsing import ChatTemplateParser, Parsed, strip_tokens, text_size

_TOKEN: Final = r"(?:<[|｜][^<>\s]{1,60}>|<[^<>\s]{1,60}[|｜]>|</?s>|\[/?[A-Z_]{3,60}\]|<\w{1,20}_of_\w{1,20}>)"
_TOKEN_AT_START: Final = re.compile(_TOKEN)
_TOKEN_AT_END: Final = re.compile(_TOKEN + r"\Z")
_EMPTY_THOUGHTS: Final = re.compile(r"\A<think>\s*</think>\s*")


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
    results; otherwise the text is ambiguous, and not understood. Nor is a text with a special token at the start or end
    of a message: it belongs to another template that is similar to a known one.

    Args:
        parsers: of the templates.
    """

    def __init__(self, parsers: Sequence[ChatTemplateParser]) -> None:
        self._parsers = tuple(parsers)

    def parse_completion(self, prompt: str, completion: str) -> Parsed | None:
        """As in `ChatTemplateParser`."""
        return self._parse(lambda parser: parser.parse_completion(prompt, completion))

    def parse_chat(self, text: str) -> Parsed | None:
        """As in `ChatTemplateParser`."""
        return self._parse(lambda parser: parser.parse_chat(text))

    def has_markers(self, text: str) -> bool:
        """As in `ChatTemplateParser`, for any of the templates."""
        return any(parser.has_markers(text) for parser in self._parsers)

    def _parse(self, parse: Callable[[ChatTemplateParser], Parsed | None]) -> Parsed | None:
        readings = [_without_empty_thoughts(one) for parser in self._parsers if (one := parse(parser)) is not None]
        best = min(readings, key=text_size, default=None)
        if best is None or not all(_is_within(best, other) for other in readings):
            return None
        edges = (content.strip() for _, content in best[0])
        return None if any(_TOKEN_AT_START.match(text) or _TOKEN_AT_END.search(text[-80:]) for text in edges) else best


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


def _is_within(parsed: Parsed, other: Parsed) -> bool:
    """Whether each message of one result is contained in that of the other, system messages aside."""
    (messages, reply), (other_messages, other_reply) = parsed, other
    own, others = ([one for one in both if one[0] != "system"] for both in (messages, other_messages))
    if [role for role, _ in own] != [role for role, _ in others]:
        return False
    pairs = [*zip(own, others, strict=True), (("assistant", reply), ("assistant", other_reply))]
    return all(content.strip() in other_content for (_, content), (_, other_content) in pairs)


def _without_empty_thoughts(parsed: Parsed) -> Parsed:
    """Without the empty block of thoughts that templates write before a reply without thoughts."""
    messages, reply = parsed
    kept = ((role, _EMPTY_THOUGHTS.sub("", content) if role == "assistant" else content) for role, content in messages)
    return tuple(kept), _EMPTY_THOUGHTS.sub("", reply)
