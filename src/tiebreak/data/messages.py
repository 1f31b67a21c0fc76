"""Convert lists of chat messages to turns.

A side of a comparison is plain text (the reply), or a list of `{"role", "content"}` messages, as a list or as JSON
text. A list holds either only the reply to the prompt, or the whole conversation. A system message at the start is put
before the first user turn, separated by a blank line.
"""

from __future__ import annotations

import re
from typing import Final

from tiebreak.data.cells import is_blank
from tiebreak.data.issues import UnreadableError, short_repr
from tiebreak.data.json_reader import parse_json
from tiebreak.unicode import unify_line_ends

Message = tuple[str, str]
"""Role and content."""

_WRITTEN_AS_MESSAGES: Final = re.compile(r'\s*\[\s*\{\s*"(?:role|content)"')


def parse_side(
    column: str, prompt: tuple[Message, ...], messages: tuple[Message, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The user's turns and the replies to them, in the conversation that ends in the reply of one side.

    Args:
        column: of the reply, for messages of errors.
        prompt: the messages of the prompt, which may be empty if `messages` is a whole conversation.
        messages: at least one: the reply, or the whole conversation.

    Raises:
        UnreadableError: the messages do not alternate between user and assistant, or do not contain the prompt.
    """
    prompt, messages = _unify(prompt), _unify(messages)
    if messages[0][0] not in ("system", "user"):
        if not prompt:
            raise UnreadableError(column, "missing_prompt", "is a reply alone, and there is no prompt")
        return _turns(column, prompt + messages)
    if not _contains(messages, prompt):
        message = "starts a conversation that does not contain the column prompt: drop that column, or fix it"
        raise UnreadableError(column, "prompt_mismatch", message)
    return _turns(column, messages)


def system_message(*lists: tuple[Message, ...]) -> str:
    """The system message of the first list that has one; empty if none has.

    `parse_side` puts it in front of the first user turn. `Conversation` and `Comparison` take it as `system`, so that
    a chat template renders it as a turn of its own.
    """
    systems = (messages[0][1] for messages in lists if messages and messages[0][0] == "system")
    return unify_line_ends(next(systems, ""))


def parse_messages(column: str, cell: object, *, role: str) -> tuple[Message, ...]:
    """The messages in a cell; plain text is one message of the given role, and null has no messages.

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
        raise UnreadableError(column, "not_text", f"is {short_repr(messages)}, neither text nor a list of messages")
    return tuple(_message(column, number, message) for number, message in enumerate(messages, start=1))


def _message(column: str, number: int, message: object) -> Message:
    if isinstance(message, dict):
        role, content = message.get("role"), message.get("content")
        if isinstance(role, str) and isinstance(content, str | None):
            return role, content or ""
    text = f'has {short_repr(message)} as message {number}: expected {{"role": ..., "content": text}}'
    raise UnreadableError(column, "not_text", text)


def _unify(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with one kind of line end, before they are compared, and before one is joined to the next."""
    return tuple((role, unify_line_ends(content)) for role, content in messages)


def _contains(messages: tuple[Message, ...], prompt: tuple[Message, ...]) -> bool:
    """Whether the messages of the prompt occur consecutively in a conversation, ignoring spaces around them."""
    expected = [(role, content.strip()) for role, content in prompt if not is_blank(content)]
    stripped = [(role, content.strip()) for role, content in messages]
    return any(stripped[start : start + len(expected)] == expected for start in range(len(stripped)))


def _turns(column: str, messages: tuple[Message, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    system = messages[0][1] if messages[0][0] == "system" else None
    rest = messages if system is None else messages[1:]
    roles = [role for role, _ in rest]
    if not rest or roles != ["user", "assistant"] * (len(rest) // 2):
        names = ", ".join(short_repr(role) for role, _ in messages[:12])
        text = (
            f"the roles are {names}: expected user and assistant in turn, assistant last, at most one system message "
            "at the start"
        )
        raise UnreadableError(column, "roles", text)
    prompts = [content for _, content in rest[::2]]
    if system:
        prompts[0] = f"{system}\n\n{prompts[0]}"
    return tuple(prompts), tuple(content for _, content in rest[1::2])
