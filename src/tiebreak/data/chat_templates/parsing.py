"""Recover the messages of a conversation from the text that a chat template rendered.

The constant text of the template separates the messages (see `probing`). The result is verified: the template must
render the recovered messages to the same text again. The tolerances are the tokens in front of a text (BOS, padding),
the day of a date, spaces around special tokens, and everything after the opening of the last reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from tiebreak.data.chat_templates.probing import DATE, Probe, Shape, first_token, is_marker
from tiebreak.data.chat_templates.rendering import ChatRenderer, ChatTemplate, ChatTemplateError
from tiebreak.data.message_content import Message

Parsed = tuple[tuple[Message, ...], str]
"""The messages up to the last one of the user, and the reply to it."""

MAX_TURNS: Final = 1000
"""A text with more turns is refused: some templates take quadratic time for them."""
_LONGEST_DATE: Final = 40
_PADDING: Final = ("<pad>", "[PAD]", "<unk>", "<|endoftext|>", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>")
_BOS: Final = ("<bos>", "<s>", "<|begin_of_text|>", "<|startoftext|>", "<｜begin▁of▁sentence｜>")
_END: Final = (
    "<eos>", "</s>", "<end_of_turn>", "<turn|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|eot|>",
    "<|end|>", "<|return|>", "<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>",
)  # fmt: skip
"""What ends a reply of a policy without a template."""
_OPEN_TAG: Final = re.compile(r"<\w+>\s*\Z")
_THOUGHT_TOKENS: Final = re.compile("think|channel|message|reason", re.IGNORECASE)
_SPACED_TOKEN: Final = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z_]{2,60}\]")


class ChatTemplateParser:
    """Parses what one chat template rendered.

    Args:
        template: the template and the special tokens of its tokenizer.

    Raises:
        ChatTemplateError: the template is not valid Jinja, or messages cannot be recovered from what it renders, for
            example because it leaves some of them out.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._renderer = ChatRenderer(template)
        self._exact = _ShapeParser(Probe(self._renderer), template)

    def parse_completion(self, prompt: str, completion: str) -> Parsed | None:
        """The messages in a rendered prompt, and the plain text of the reply to them.

        Text that the template adds is removed: default system messages, dates, and the empty block of thoughts before a
        reply without thoughts. Thoughts are part of the reply, unless the template has a message of their own for them
        (gpt-oss): then the reply is the text of the final message, which is empty if the policy wrote thoughts only.

        A user message that contains the markers of the template, complete and in order, cannot be distinguished from
        the template: both render to the same text.

        Args:
            prompt: a conversation up to and including the opening of the reply. Text after that opening is the
                beginning of the reply.
            completion: text of the policy, with special tokens and padding as decoded. It is cut at the first token
                that ends a turn.

        Returns:
            Role (`system`, `user` or `assistant`) and content of each message, and the reply; None if the template did
            not render this prompt.
        """
        return self.parse(prompt, completion) or self.parse(prompt, completion, spaced=True)

    def parse_chat(self, text: str) -> Parsed | None:
        """The messages in a whole rendered conversation, and the plain text of its last reply.

        None if the template did not render the text, or if the text does not end in a reply.
        """
        return self.parse(text, None) or self.parse(text, None, spaced=True)

    def parse(self, prompt: str, completion: str | None, *, spaced: bool = False) -> Parsed | None:
        """As `parse_completion`, or without a completion as `parse_chat`.

        Args:
            prompt: as in `parse_completion`, or a whole conversation.
            completion: as in `parse_completion`.
            spaced: ignore spaces around special tokens, which SentencePiece's tokenizers insert when they decode.
        """
        parser = self._spaced if spaced else self._exact
        return None if parser is None else parser.parse(prompt, completion)

    def has_markers(self, text: str) -> bool:
        """Whether text of the template opens a reply somewhere, so that its messages may be others than are parsed."""
        return any(shape.to_reply in text for shape in self._exact.probe.shapes)

    @cached_property
    def _spaced(self) -> _ShapeParser | None:
        """The parser of texts with spaces around special tokens; None if the template needs such spaces."""
        shapes = self._exact.probe.shapes
        literals = [text for shape in shapes for text in (shape.head, shape.to_reply, shape.to_user, shape.end)]
        tokens = {token for text in literals for token in _SPACED_TOKEN.findall(text)} | set(self._exact.leading)
        spaced = re.compile(f" ?({'|'.join(map(re.escape, sorted(tokens, key=len, reverse=True)))}) ?")
        try:
            return _ShapeParser(Probe(self._renderer, lambda text: spaced.sub(r"\1", text)), self._template, spaced)
        except ChatTemplateError:
            return None


@dataclass(frozen=True, slots=True)
class _Found:
    """Where messages are in a text."""

    messages: list[Message]
    end: int
    """Of the user's last message."""


class _ShapeParser:
    """Parses with the shapes of a probe; `spaced` matches tokens with spaces around them, which are ignored."""

    def __init__(self, probe: Probe, template: ChatTemplate, spaced: re.Pattern[str] | None = None) -> None:
        self.probe = probe
        self._spaced = spaced
        self.leading: Final = tuple(filter(None, dict.fromkeys((template.bos, *_BOS, *_PADDING))))
        self._padding: Final = tuple(
            dict.fromkeys((*_PADDING, *(token for token in template.special_tokens if "pad" in token.lower())))
        )
        # SentencePiece's tokenizers decode a space after a special token
        self._leading_space: Final = spaced is not None or template.bos == "<s>"
        self._special: Final = (template.eos, *template.special_tokens)

    def parse(self, prompt: str, completion: str | None) -> Parsed | None:
        """The messages and the reply; without a completion, the prompt is a whole conversation."""
        start = _end_of_tokens(prompt, self.leading)
        if self._spaced is not None:
            if not any(self._may_begin(shape, prompt[start:]) for shape in self.probe.shapes):
                return None
            prompt, start = self._spaced.sub(r"\1", prompt), 0
            start = _end_of_tokens(prompt, self.leading)
        prompt, has_bos = prompt[start:], start > 0
        if completion is not None:
            completion = completion[_end_of_tokens(completion, self._padding) :]
        readings = [
            reading
            for shape in self.probe.shapes
            if has_bos or not shape.head or self._without_leading(shape.head)  # else nothing marks the beginning
            if (reading := self._parse_shape(shape, prompt, completion)) is not None
        ]
        return min(readings, key=text_size, default=None)

    def _may_begin(self, shape: Shape, text: str) -> bool:
        assert self._spaced is not None
        head = self._without_leading(shape.head.partition(DATE)[0])
        return self._without_leading(self._spaced.sub(r"\1", text[: 2 * len(head) + 60])).startswith(head or "\0")

    def _without_leading(self, text: str) -> str:
        return text[_end_of_tokens(text, self.leading) :]

    def _parse_shape(self, shape: Shape, prompt: str, completion: str | None) -> Parsed | None:
        head = self._read_head(shape, prompt)
        if head is None:
            return None
        start, day = head
        text = prompt + (completion or "")
        found = self._find_messages(shape, text, start, len(prompt))
        if found is None or not self._renders_to(shape, found, text, day):
            return None
        opening = next((one for one in shape.last_openings if text.startswith(one, found.end)), None)
        if opening is None:
            return None
        reply_start = found.end + len(opening)
        is_over = completion is not None and self._is_over(shape, prompt[reply_start:])
        reply = None if is_over else self._reply(shape, opening, text[reply_start:], whole=completion is None)
        return None if reply is None else (tuple(m for m in found.messages if m != ("system", "")), reply)

    def _renders_to(self, shape: Shape, found: _Found, text: str, day: datetime) -> bool:
        """Whether the template renders the messages to the beginning of the text."""
        if any(self._holds_a_turn(shape, role, content) for role, content in found.messages):
            return False
        try:
            rendered = self.probe.render(found.messages, shape.options, strftime=day.strftime)
        except ChatTemplateError:
            return False
        return self._without_leading(rendered) == text[: found.end] + shape.generation

    def _read_head(self, shape: Shape, text: str) -> tuple[int, datetime] | None:
        """The end of the text before the first message, and its date; None if a text begins differently."""
        first, *others = self._without_leading(shape.head).split(DATE)
        if not text.startswith(first):
            return None
        if not others:
            return len(first), datetime.now()
        for length in range(_LONGEST_DATE, 3, -1):
            written = text[len(first) : len(first) + length]
            try:
                day = datetime.strptime(written, self.probe.date_formats[0].replace("%-", "%"))
            except ValueError:
                continue
            head = first + "".join(
                day.strftime(date_format) + piece
                for date_format, piece in zip(self.probe.date_formats, others, strict=False)
            )
            if text.startswith(head):
                return len(head), day
        return None

    def _find_messages(self, shape: Shape, text: str, start: int, prompt_end: int) -> _Found | None:
        """Messages up to the last one of the user; None if they do not alternate."""
        messages: list[Message] = []
        if shape.after_system is not None:
            end = text.find(shape.after_system, start, prompt_end)
            if end < 0:
                return None
            messages.append(("system", text[start:end]))
            start = end + len(shape.after_system)
        for _ in range(MAX_TURNS):
            end = text.find(shape.to_reply, start)
            if not 0 <= end < prompt_end:
                return None
            messages.append(("user", text[start:end]))
            opening = next((one for one in shape.reply_openings if text.startswith(one, end)), shape.to_reply)
            start = end + len(opening)
            next_user = text.find(shape.to_user, start, prompt_end)
            if next_user < 0:
                return _Found(messages, end)
            opening = next((one for one in shape.user_openings if text.startswith(one, next_user)), "")
            if not opening or next_user + len(opening) > prompt_end or text.find(shape.to_reply, next_user) < 0:
                return _Found(messages, end)  # no reply follows: this is the token that ends the text
            messages.append(("assistant", text[start:next_user]))
            start = next_user + len(opening)
        return None

    def _holds_a_turn(self, shape: Shape, role: str, content: str) -> bool:
        """Whether a message contains text that separates messages: then some of them were not recognized."""
        if any(marker in content for marker in self._markers(shape)):
            return True
        return role == "user" and content.startswith(self._other_prefixes)

    def _markers(self, shape: Shape) -> tuple[str, ...]:
        after_system = {one.after_system.strip() for one in self.probe.shapes if one.after_system is not None}
        systems = filter(is_marker, after_system)
        return (shape.to_reply, shape.to_user, *shape.any_turn, *systems, *self.probe.other_turns)

    @cached_property
    def _other_prefixes(self) -> tuple[str, ...]:
        """How messages begin that the template renders as the user's, such as those of tools."""
        openings = {opening for shape in self.probe.shapes for opening in shape.user_openings}
        prefixes = {turn.removeprefix(one) for turn in self.probe.other_turns for one in openings if turn != one}
        return tuple(prefix for prefix in prefixes - self.probe.other_turns if is_marker(prefix))

    def _is_over(self, shape: Shape, reply: str) -> bool:
        """Whether the beginning of a reply that a prompt contains has ended already."""
        return self._ends(shape).search(reply) is not None or any(one in reply for one in self._markers(shape))

    def _reply(self, shape: Shape, opening: str, text: str, *, whole: bool) -> str | None:
        """The plain text of a reply; None if a whole conversation goes on after it."""
        text = text[_end_of_tokens(text, self._padding) :]
        final_message = self._final_message(shape)
        if final_message is not None and shape.final != opening and first_token(final_message) in text:
            text = text.partition(final_message)[2]
        if self._leading_space and not opening[-1:].isspace():
            text = text.removeprefix(" ")
        end = self._ends(shape).search(text)
        if end is not None:
            rest, text = text[end.start() :], text[: end.start()]
            if whole and self._tokens(shape).sub("", rest).strip():
                return None
            text = text.removesuffix(shape.end[: len(shape.end) - len(shape.end.lstrip())])
        tag = _OPEN_TAG.search(opening[-64:])
        if tag is not None and not shape.reply_openings[0].endswith(tag.group()):
            text = tag.group() + text  # the policy continues thoughts that the template opened
        return _without_trailing(text, self._padding)

    def _final_message(self, shape: Shape) -> str | None:
        """What opens the final message of a reply, in a template that renders thoughts as a message of their own."""
        if shape.final is None or not shape.final.startswith(shape.generation) or self.probe.thoughts is None:
            return None
        opening = shape.final[len(shape.generation) :]
        after_thoughts = self.probe.thoughts[1]
        return opening if opening.strip() and after_thoughts != opening and after_thoughts.endswith(opening) else None

    def _ends(self, shape: Shape) -> re.Pattern[str]:
        """Matches a token that ends a reply."""
        thoughts = "".join(self.probe.thoughts or ())
        tokens = {first_token(literal) for literal in (shape.end, *shape.user_openings)}
        tokens |= {token for token in self._special if token not in thoughts and not _THOUGHT_TOKENS.search(token)}
        return _any_of(tokens)

    def _tokens(self, shape: Shape) -> re.Pattern[str]:
        """Matches what may follow the end of a conversation."""
        return _any_of({shape.end.strip(), first_token(shape.end), *self._special, *self._padding})


def _any_of(tokens: set[str]) -> re.Pattern[str]:
    alternatives = sorted(filter(None, tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, alternatives)) or r"(?!)")


def _end_of_tokens(text: str, tokens: tuple[str, ...]) -> int:
    """The end of a run of tokens at the start of a text."""
    start = 0
    while token := next((token for token in tokens if text.startswith(token, start)), None):
        start += len(token)
    return start


def _without_trailing(text: str, tokens: tuple[str, ...]) -> str:
    """The text without a run of tokens at its end.

    A regular expression would need quadratic time for a long run of tokens that is not at the end.
    """
    end = len(text)
    while token := next((token for token in tokens if text.endswith(token, 0, end)), None):
        end -= len(token)
    return text[:end]


def text_size(parsed: Parsed) -> int:
    """The number of characters of all messages and the reply."""
    messages, reply = parsed
    return sum(len(content) for _, content in messages) + len(reply)


def strip_tokens(prompt: str, completion: str) -> Parsed:
    """A prompt that has no template, without BOS tokens; and a completion without padding and tokens that end it."""
    completion = _without_trailing(completion[_end_of_tokens(completion, _PADDING) :], _PADDING)
    stripped = completion.rstrip()
    if stripped.endswith((*_END, *_PADDING)):
        completion = _without_trailing(stripped, (*_END, *_PADDING))
    return (("user", prompt[_end_of_tokens(prompt, (*_BOS, *_PADDING)) :]),), completion
