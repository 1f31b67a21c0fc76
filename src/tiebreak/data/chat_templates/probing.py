"""Find the constant text of a chat template by rendering conversations of known messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, Final

from tiebreak.data.chat_templates.rendering import ChatRenderer, ChatTemplateError

SYSTEM: Final = "xqSystemProbeqx"
THOUGHTS: Final = "xqThoughtsProbeqx"
TOOL: Final = "xqToolProbeqx"
USERS: Final = tuple(f"xqUserProbe{letter}qx" for letter in "ABC")
REPLIES: Final = tuple(f"xqReplyProbe{letter}qx" for letter in "ABC")
DATE: Final = "xqDateProbeqx"
_OPTIONS: Final[Mapping[str, tuple[Any, ...]]] = {
    "enable_thinking": (True, False),
    "thinking": (True, False),
    "reasoning_effort": ("low", "medium", "high"),
}
"""Variables of templates that trainers set, and their values; each may also be absent."""
_OTHER_ROLES: Final = ("tool", "ipython", "observation", "function", "environment", "tool_response", "system")
_TOKEN: Final = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]")
"""A special token, by its shape."""


def first_token(literal: str) -> str:
    """The special token that a constant text begins with, after white space; the whole text if it is none."""
    stripped = literal.strip()
    match = _TOKEN.match(stripped)
    return match.group() if match else stripped


def is_marker(literal: str) -> bool:
    """Whether constant text can be recognized in a conversation: it is more than white space and a bracket."""
    return len("".join(literal.split())) >= 3


@dataclass(frozen=True, slots=True)
class Shape:
    """The constant text of a template for conversations with or without a system message, and for some options."""

    options: Mapping[str, Any] = field(compare=False)
    head: str
    """Before the first message, with `DATE` for dates."""
    after_system: str | None
    """Between the system message and the user's; None without a system message."""
    to_reply: str
    """The beginning of all constant texts that follow a user's message."""
    to_user: str
    """The beginning of all constant texts between a reply and the next message of the user."""
    reply_openings: tuple[str, ...]
    """Constant texts between a user's message and a reply that another message follows, longest first."""
    user_openings: tuple[str, ...]
    """Constant texts between a reply and the next message of the user, longest first."""
    generation: str
    """What follows the user's last message with `add_generation_prompt`."""
    final: str | None
    """What precedes a reply at the end of a conversation; None if the template leaves that reply out."""
    end: str
    """What follows a reply at the end of a conversation."""

    @property
    def any_turn(self) -> tuple[str, ...]:
        """Tokens between two messages, whatever the role of the second: at least two tokens; otherwise nothing."""
        tokens = list(_TOKEN.finditer(_common_start({self.to_reply, self.to_user})))
        return (self.to_reply[: tokens[-1].end()],) if len(tokens) > 1 else ()

    @property
    def last_openings(self) -> tuple[str, ...]:
        """Texts that may open the last reply, longest first."""
        openings = {self.generation, *self.reply_openings, *(() if self.final is None else (self.final,))}
        return tuple(sorted(openings, key=len, reverse=True))


class Probe:
    """What rendering known messages tells about a template.

    Args:
        renderer: of the template.
        clean: applied to all rendered text.

    Raises:
        ChatTemplateError: messages cannot be recovered from what the template renders.
    """

    def __init__(self, renderer: ChatRenderer, clean: Callable[[str], str] = lambda text: text) -> None:
        self._renderer = renderer
        self._clean = clean
        self.as_parts = False
        self.date_formats: tuple[str, ...] = ()
        shapes: dict[Shape, None] = {}
        errors: list[str] = []
        choices = {name: (None, *values) for name, values in _OPTIONS.items() if name in renderer.variables}
        for values in product(*choices.values()):
            options = {name: value for name, value in zip(choices, values, strict=True) if value is not None}
            for has_system in (False, True):
                try:
                    shapes[self._shape(options, has_system)] = None
                except ChatTemplateError as error:
                    errors.append(str(error))
        if not shapes:
            raise ChatTemplateError(errors[0])
        self.shapes: Final = tuple(shapes)

    def render(
        self,
        messages: Sequence[tuple[str, str]],
        options: Mapping[str, Any],
        *,
        generation_prompt: bool = True,
        strftime: Callable[[str], str],
        **fields: Any,
    ) -> str:
        """The rendered conversation; `fields` are further ones of the last message."""
        rows = [{"role": role, "content": self._content(content)} for role, content in messages]
        rows[-1] |= fields
        return self._clean(
            self._renderer.render(rows, generation_prompt=generation_prompt, options=options, strftime=strftime)
        )

    @cached_property
    def thoughts(self) -> tuple[str, str] | None:
        """What precedes and follows the thoughts of a reply; None if the template does not render them."""
        fields = dict.fromkeys(("thinking", "reasoning_content", "reasoning"), THOUGHTS)
        for shape in self.shapes:
            try:
                text = self._render([("user", USERS[0]), ("assistant", REPLIES[0])], shape.options, False, **fields)
                _, before, after, _ = _split(text, (USERS[0], THOUGHTS, REPLIES[0]))
            except ChatTemplateError:
                continue
            return before, after
        return None

    @cached_property
    def other_turns(self) -> frozenset[str]:
        """Constant texts that open a message of another role than user and assistant, after a reply."""
        openings = set()
        options = self.shapes[0].options
        call = {"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": {}}}
        for role, calls in product(_OTHER_ROLES, (None, [call])):
            replied = {"role": "assistant", "content": self._content(REPLIES[0])}
            rows: list[dict[str, Any]] = [
                {"role": "user", "content": self._content(USERS[0])},
                replied | {"tool_calls": calls} if calls else replied,
                {"role": role, "content": self._content(TOOL), "name": "f", "tool_call_id": "abcdefghi"},
            ]
            try:
                text = self._clean(self._renderer.render(rows, generation_prompt=False, options=options))
                openings.add(_split(text, (REPLIES[0], TOOL))[1])
            except ChatTemplateError:
                continue
        return frozenset(filter(is_marker, openings))

    def _content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.as_parts else text

    def _render(
        self, messages: Sequence[tuple[str, str]], options: Mapping[str, Any], generation_prompt: bool, **fields: Any
    ) -> str:
        formats: list[str] = []

        def strftime(date_format: str) -> str:
            formats.append(date_format)
            return DATE

        text = self.render(messages, options, generation_prompt=generation_prompt, strftime=strftime, **fields)
        self.date_formats = self.date_formats or tuple(formats)
        return text

    def _literals(
        self,
        options: Mapping[str, Any],
        system: Sequence[tuple[str, str]],
        turns: int,
        *,
        final_reply: bool = False,
        generation_prompt: bool = False,
    ) -> list[str]:
        """The constant texts around the messages of a conversation that ends in a message of the user or a reply."""
        pairs = zip(USERS[:turns], REPLIES[:turns], strict=True)
        messages = [*system, *(message for u, a in pairs for message in (("user", u), ("assistant", a)))]
        if not final_reply:
            del messages[-1]
        return _split(self._render(messages, options, generation_prompt), [content for _, content in messages])

    def _shape(self, options: Mapping[str, Any], has_system: bool) -> Shape:
        system = [("system", SYSTEM)] if has_system else []
        try:
            one = self._literals(options, system, 1, generation_prompt=True)
        except ChatTemplateError:
            if self.as_parts or has_system:
                raise
            self.as_parts = True  # as templates for texts and images may need
            one = self._literals(options, system, 1, generation_prompt=True)
        try:
            three = self._literals(options, system, 3, generation_prompt=True)
        except ChatTemplateError:
            raise ChatTemplateError("it does not render a conversation of several turns in order") from None
        start = len(system)
        try:
            *_, final, end = self._literals(options, system, 1, final_reply=True)
        except ChatTemplateError:
            final, end = None, ""
        reply_openings, user_openings = {three[start + 1], three[start + 3]}, {three[start + 2], three[start + 4]}
        generation = {one[-1], three[-1]}
        to_reply = _common_start({*reply_openings, *generation, *(() if final is None else (final,))})
        to_user = _common_start(user_openings)
        after_system = one[1] if has_system else None
        if not is_marker(to_reply) or not is_marker(to_user) or (after_system is not None and not after_system.strip()):
            raise ChatTemplateError("nothing but white space separates two messages")
        return Shape(
            options, one[0], after_system, to_reply, to_user,
            tuple(sorted(reply_openings, key=len, reverse=True)), tuple(sorted(user_openings, key=len, reverse=True)),
            three[-1], final, end,
        )  # fmt: skip


def _split(text: str, contents: Sequence[str]) -> list[str]:
    """The texts around known contents.

    Raises:
        ChatTemplateError: a content is missing, repeated, or not in this order.
    """
    literals, start = [], 0
    for content in contents:
        at = text.find(content, start)
        if at < 0 or text.count(content) != 1:
            raise ChatTemplateError("it leaves out, repeats or reorders messages")
        literals.append(text[start:at])
        start = at + len(content)
    return [*literals, text[start:]]


def _common_start(texts: set[str]) -> str:
    """The longest text that all of them begin with."""
    first, last = min(texts), max(texts)
    return next((first[:i] for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), first)
