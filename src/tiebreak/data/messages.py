"""Message lists -> turns, for `chosen` and `rejected`.

A side is plain text (the reply), or a list of `{"role", "content"}` messages, as such or as JSON text. A list holds
either the reply alone, to what is in the column `prompt`, or the whole conversation. A system message at the start
goes in front of the first user turn, separated by a blank line.
"""

from __future__ import annotations

import re
from typing import Final

from tiebreak.data.cells import is_blank
from tiebreak.data.issues import UnreadableError, shown
from tiebreak.data.json_reader import parse_json

Message = tuple[str, str]
"""Role and content."""

_WRITTEN_AS_MESSAGES: Final = re.compile(r'\s*\[\s*\{\s*"(?:role|content)"')


def parse_side(
    column: str, prompt: tuple[Message, ...], messages: tuple[Message, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the user said and what was replied, a pair per turn, in the conversation that ends in one side's reply.

    `messages` holds at least one.

    Raises:
        UnreadableError: the messages do not make turns of user and assistant, or the prompt is no part of them.
    """
    if messages[0][0] not in ("system", "user"):
        if not prompt:
            raise UnreadableError(column, "missing_prompt", "is a reply alone, and there is no prompt")
        return _turns(column, prompt + messages)
    if not _part_of(prompt, messages):
        message = "starts a conversation that the column prompt is no part of: drop that column, or mend it"
        raise UnreadableError(column, "prompt_mismatch", message)
    return _turns(column, messages)


def parse_messages(column: str, cell: object, *, role: str) -> tuple[Message, ...]:
    """The messages in a cell; plain text is one message of the given role, and null is none.

    Raises:
        UnreadableError: the cell is neither text nor a list of messages.
    """
    if cell is None:
        return ()
    messages = cell
    if isinstance(cell, str):
        if not _WRITTEN_AS_MESSAGES.match(cell):
            return ((role, cell),)
        try:
            messages = parse_json(cell)
        except ValueError as error:
            raise UnreadableError(column, "broken_json", f"is not a JSON list of messages: {error}") from None
    if not isinstance(messages, list):
        raise UnreadableError(column, "not_text", f"is {shown(messages)}, neither text nor a list of messages")
    return tuple(_message(column, number, message) for number, message in enumerate(messages, start=1))


def _message(column: str, number: int, message: object) -> Message:
    if isinstance(message, dict):
        role, content = message.get("role"), message.get("content")
        if isinstance(role, str) and isinstance(content, str | None):
            return role, content or ""
    text = f'has {shown(message)} as message {number}: expected {{"role": ..., "content": text}}'
    raise UnreadableError(column, "not_text", text)


def _part_of(prompt: tuple[Message, ...], messages: tuple[Message, ...]) -> bool:
    """Whether the prompt's messages occur in the conversation one after the other, spaces around them aside."""
    inner = [(role, content.strip()) for role, content in prompt if not is_blank(content)]
    outer = [(role, content.strip()) for role, content in messages]
    return any(outer[start : start + len(inner)] == inner for start in range(len(outer)))


def _turns(column: str, messages: tuple[Message, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    system = messages[0][1] if messages[0][0] == "system" else None
    rest = messages if system is None else messages[1:]
    roles = [role for role, _ in rest]
    if not rest or roles != ["user", "assistant"] * (len(rest) // 2):
        said = ", ".join(shown(role) for role, _ in messages[:12])
        text = f"the roles run {said}: expected user and assistant in turn, assistant last, at most one system in front"
        raise UnreadableError(column, "roles", text)
    prompts = [content for _, content in rest[::2]]
    if system:
        prompts[0] = f"{system}\n\n{prompts[0]}"
    return tuple(prompts), tuple(content for _, content in rest[1::2])
