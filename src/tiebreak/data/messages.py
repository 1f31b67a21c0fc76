"""Convert lists of chat messages to turns.

A side of a comparison is plain text (the reply), or a list of `{"role", "content"}` messages, as a list or as JSON
text. A list holds either only the reply to the prompt, or the whole conversation. A system message at the start is put
before the first user turn, separated by a blank line.

Turns of the user and the assistant alternate, so messages in a row with the same role are joined by a blank line. A
conversation that begins with the assistant, as with a greeting, has an empty first turn of the user. A tool's result is
read by the assistant, so it is a turn of the user. A tool call may be in the prompt; in an answer it is refused, unless
the caller asks for it. Then the answer is all that follows the last message of the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby, takewhile
from typing import Final, Literal

from tiebreak.data.cells import is_blank
from tiebreak.data.issues import UnreadableError, short_repr
from tiebreak.data.message_content import TOOL, TOOL_CALL, Message, join_texts, read_message
from tiebreak.data.readers.json_reader import parse_json
from tiebreak.unicode import unify_line_ends

ToolCalls = Literal["refuse", "text"]
"""How tool calls in answers are handled: refused, or read as text (see `tiebreak.data.message_content`)."""

_WRITTEN_AS_MESSAGES: Final = re.compile(
    r'\s*\[\s*\{\s*(?:"(?:role|content)"|"from"\s*:\s*"(?:system|human|user|gpt|assistant)")'
)


def parse_side(
    column: str, prompt: tuple[Message, ...], messages: tuple[Message, ...], *, tool_calls: ToolCalls = "refuse"
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The user's turns and the replies to them, in the conversation that ends in the reply of one side.

    Args:
        column: of the reply, for messages of errors.
        prompt: the messages of the prompt, which may be empty if `messages` is a whole conversation.
        messages: at least one: the reply, or the whole conversation.
        tool_calls: whether an answer may hold them.

    Raises:
        UnreadableError: the messages do not make a conversation that ends in the assistant's reply, or do not contain
            the prompt.
    """
    prompt, messages = _unify(prompt), _unify(messages)
    has_user = any(role == "user" for role, _ in messages)
    if messages[0][0] not in ("system", "user"):
        if prompt and not (has_user and _contains(messages, prompt)):
            return _turns(column, prompt + messages, len(prompt), tool_calls)
        if not has_user:
            raise UnreadableError(column, "missing_prompt", "is a reply alone, and there is no prompt")
    if not _contains(messages, prompt):
        message = "starts a conversation that does not contain the column prompt: drop that column, or fix it"
        raise UnreadableError(column, "prompt_mismatch", message)
    return _turns(column, messages, 0, tool_calls)


def system_message(*lists: tuple[Message, ...]) -> str:
    """The system message of the first list that has one with text; empty if none has.

    `parse_side` puts it in front of the first user turn. `Conversation` and `Comparison` take it as `system`, so that
    a chat template renders it as a turn of its own.
    """
    firsts = (messages[0] for messages in lists if messages)
    systems = (content for role, content in firsts if role == "system" and not is_blank(content))
    return unify_line_ends(next(systems, ""))


def are_messages(cell: object) -> bool:
    """Whether a cell is a list of messages, or JSON text that begins like one."""
    if isinstance(cell, list):
        return bool(cell) and isinstance(cell[0], dict)
    return isinstance(cell, str) and _WRITTEN_AS_MESSAGES.match(cell) is not None


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
    return tuple(read_message(column, number, message) for number, message in enumerate(messages, start=1))


def is_messages(cell: object) -> bool:
    """Whether a cell is a list that holds messages."""
    return isinstance(cell, list) and any(isinstance(m, Mapping) and ("role" in m or "from" in m) for m in cell)


def is_written_as_messages(cell: object) -> bool:
    """Whether a cell is JSON text of a list of messages, each with a role."""
    if not isinstance(cell, str) or not _WRITTEN_AS_MESSAGES.match(cell):
        return False
    try:
        messages = parse_json(cell)
    except ValueError:
        return False
    return isinstance(messages, list) and all(
        isinstance(message, Mapping) and isinstance(message.get("role", message.get("from")), str)
        for message in messages
    )


def _unify(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with one kind of line end, before they are compared, and before one is joined to the next."""
    return tuple((role, unify_line_ends(content)) for role, content in messages)


def _contains(messages: tuple[Message, ...], prompt: tuple[Message, ...]) -> bool:
    """Whether the messages of the prompt occur consecutively in a conversation, ignoring spaces around them."""
    expected = [(role, content.strip()) for role, content in prompt if not is_blank(content)]
    stripped = [(role, content.strip()) for role, content in messages]
    return any(stripped[start : start + len(expected)] == expected for start in range(len(stripped)))


def _turns(
    column: str, messages: tuple[Message, ...], prompt_length: int, tool_calls: ToolCalls
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The turns of a conversation, of which the first `prompt_length` messages are in the prompt."""
    if tool_calls == "text":
        last_user = max((i for i, (role, _) in enumerate(messages) if role == "user"), default=-1)
        start = max(prompt_length, last_user + 1)
        answer = "\n".join(content for _, content in messages[start:] if content)
        messages = (*messages[:start], ("assistant", answer))[: len(messages)]
    elif _calls_tool_at_end(messages):
        message = (
            "ends in a tool call, which is no text to judge: data.tool_calls=text in a recipe, or --tool-calls text of "
            "tiebreak convert, reads calls as text"
        )
        raise UnreadableError(column, "tool_calls", message)
    system = messages[0][1] if messages[0][0] == "system" else None
    rest = messages if system is None else messages[1:]
    turns = [
        (role, join_texts(content for _, content in group)) for role, group in groupby(rest, key=lambda m: _side(m[0]))
    ]
    roles = [role for role, _ in turns]
    continues = prompt_length > 0 and _side(messages[prompt_length - 1][0]) == "assistant"
    if not turns or roles[-1] != "assistant" or not {*roles} <= {"user", "assistant"} or continues:
        names = ", ".join(short_repr(role) for role, _ in messages[:12])
        text = (
            f"the roles are {names}: expected user and assistant, a prompt that ends in the user's message, a reply "
            "that ends in the assistant's, and a system message only first"
        )
        raise UnreadableError(column, "roles", text)
    if roles[0] == "assistant":
        turns.insert(0, ("user", ""))
    prompts = [content for _, content in turns[::2]]
    if system is not None and not is_blank(system):
        prompts[0] = f"{system}\n\n{prompts[0]}"
    return tuple(prompts), tuple(content for _, content in turns[1::2])


def _calls_tool_at_end(messages: tuple[Message, ...]) -> bool:
    """Whether the last turn of the assistant has a tool call."""
    last_turn = takewhile(lambda message: _side(message[0]) == "assistant", reversed(messages))
    return any(role == TOOL_CALL for role, _ in last_turn)


def _side(role: str) -> str:
    """Who speaks in a message: a tool's result is read by the assistant, as the user's messages are."""
    return {TOOL: "user", TOOL_CALL: "assistant"}.get(role, role)
