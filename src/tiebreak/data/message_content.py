"""The content of chat messages as text: parts, tool calls and tool results.

Chat APIs hold text as a string or as a list of parts, and tool calls in a field of their own. A judge reads text alone:

- The texts of parts are joined by line ends, as vLLM joins them. Images, sound and files are refused by name.
- A tool call is its name and arguments as JSON between `<tool_call>` and `</tool_call>`, a tool's result is its text
  between `<tool_response>` and `</tool_response>`, each on lines of their own: the form of Hermes and Qwen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from tiebreak.data.issues import UnreadableError, short_repr
from tiebreak.data.readers.json_reader import parse_json

Message = tuple[str, str]
"""Role and content. The roles are those of `ROLES`, or others that the caller gives a meaning to."""

TOOL_CALL: Final = "tool_call"
"""The role of an assistant's message with tool calls, which an answer may not have unless it is asked for."""
TOOL: Final = "tool"
"""The role of a tool's result."""

ROLES: Final[dict[str, str]] = {
    "developer": "system",
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function": TOOL,
    "ipython": TOOL,
    "observation": TOOL,
    "tool_response": TOOL,
    "function_call": TOOL_CALL,
}
"""Other names of the roles system, user, assistant, tool and tool_call."""

_TEXT_PARTS: Final = {"text", "input_text", "output_text"}
_MEDIA: Final = ("image", "audio", "video", "file", "document")


def read_message(column: str, number: int, message: object) -> Message:
    """The role and the text of a message.

    Args:
        column: for messages of errors.
        number: of the message, counted from 1, for messages of errors.
        message: an object with `role` and `content`, as chat APIs have it, or with `from` and `value`, as ShareGPT has.

    Raises:
        UnreadableError: it is something else, or holds something else than text.
    """
    place = f"message {number}"
    if isinstance(message, Mapping):
        role = message.get("role", message.get("from"))
        content = message.get("content", message.get("value"))
        if isinstance(role, str):
            try:
                return _message(column, place, ROLES.get(role, role), content, message)
            except RecursionError:
                raise UnreadableError(column, "not_text", f"is nested too deeply in {place}") from None
            except TypeError as error:  # of `json.dumps`: Parquet has dates, for example
                raise UnreadableError(
                    column, "not_text", f"has a tool call in {place} that is not JSON: {error}"
                ) from None
    expected = 'expected {"role": ..., "content": text}'
    raise UnreadableError(column, "not_text", f"has {short_repr(message)} as {place}: {expected}")


def read_content(column: str, place: str, content: object) -> str:
    """The text of a message's content: a string, null, or a list of parts.

    Raises:
        UnreadableError: it is something else, or a part is not text.
    """
    if isinstance(content, str | None):
        return content or ""
    if not isinstance(content, list | tuple):
        raise UnreadableError(column, "not_text", f"has {short_repr(content)} as the content of {place}: expected text")
    return "\n".join(_part(column, place, part) for part in content)


def _message(column: str, place: str, role: str, content: object, message: Mapping[str, Any]) -> Message:
    if role == TOOL:
        return TOOL, _tool_response(read_content(column, place, content))
    if role == TOOL_CALL:
        return TOOL_CALL, _enclose("tool_call", read_content(column, place, content))
    calls = _calls(column, place, message)
    if isinstance(content, list) and any(_kind(part) == "tool_use" for part in content):
        role = TOOL_CALL
    if not calls:
        return role, read_content(column, place, content)
    return TOOL_CALL, "\n".join(filter(None, (read_content(column, place, content), *calls)))


def _calls(column: str, place: str, message: Mapping[str, Any]) -> list[str]:
    """The tool calls beside a message's content, as OpenAI's API has them."""
    calls = message.get("tool_calls") or ([message["function_call"]] if message.get("function_call") else [])
    if not isinstance(calls, list):
        raise UnreadableError(column, "not_text", f"has {short_repr(calls)} as the tool calls of {place}")
    rendered = []
    for call in calls:
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise UnreadableError(column, "not_text", f"has {short_repr(call)} as a tool call of {place}")
        rendered.append(_tool_call(function["name"], function.get("arguments")))
    return rendered


def _part(column: str, place: str, part: object) -> str:
    if isinstance(part, str):
        return part
    kind = _kind(part)
    if isinstance(part, Mapping):
        medium = next((name for name in _MEDIA if name in kind or part.get(name) is not None), None)
        if medium is not None:
            article = "an" if medium[0] in "ai" else "a"
            raise UnreadableError(column, "not_text", f"has {article} {medium} in {place}: a judge reads text alone")
        if kind in _TEXT_PARTS and isinstance(part.get("text"), str):
            return str(part["text"])
        if kind == "tool_use":
            return _tool_call(str(part.get("name")), part.get("input"))
        if kind == "tool_result":
            return _tool_response(read_content(column, place, part.get("content")))
    expected = 'expected {"type": "text", "text": ...}'
    raise UnreadableError(column, "not_text", f"has {short_repr(part)} as a part of {place}: {expected}")


def _kind(part: object) -> str:
    """The type of a part; one with a text and without a type is text."""
    if not isinstance(part, Mapping):
        return ""
    kind = part.get("type") or ("text" if "text" in part else "")
    return kind if isinstance(kind, str) else ""


def _tool_call(name: str, arguments: object) -> str:
    """A call in one form, whether its arguments were JSON text, as OpenAI has them, or an object."""
    if isinstance(arguments, str):
        with suppress(ValueError):
            arguments = parse_json(arguments)
    return _enclose("tool_call", json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False))


def _tool_response(text: str) -> str:
    return _enclose("tool_response", text)


def _enclose(tag: str, text: str) -> str:
    return f"<{tag}>\n{text}\n</{tag}>"


def join_texts(texts: Iterable[str]) -> str:
    """Texts of messages in a row with the same role, separated by blank lines."""
    return "\n\n".join(text for text in texts if text)
