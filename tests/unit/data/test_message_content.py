"""Content of chat messages as text: parts, other names of roles, tool calls."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tiebreak.data import UnreadableError, parse_messages, parse_side

CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 1}'}}
RENDERED_CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 1}}\n</tool_call>'
ASKED = [
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "2"},
]


def messages(*cells: Any) -> tuple[tuple[str, str], ...]:
    return parse_messages("c", list(cells), role="user")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": [{"type": "text", "text": "a", "image": None}, "b"]}, ("user", "a\nb")),
        ({"role": "developer", "content": "be kind"}, ("system", "be kind")),
        ({"from": "human", "value": "a"}, ("user", "a")),
        ({"from": "gpt", "value": "a"}, ("assistant", "a")),
        ({"role": "assistant", "content": None, "tool_calls": [CALL]}, ("tool_call", RENDERED_CALL)),
        ({"role": "assistant", "content": "Wait.", "tool_calls": [CALL]}, ("tool_call", f"Wait.\n{RENDERED_CALL}")),
        (
            {"role": "assistant", "content": [{"type": "tool_use", "name": "add", "input": {"a": 1, "b": 1}}]},
            ("tool_call", RENDERED_CALL),
        ),
        ({"role": "tool", "content": "2"}, ("tool", "<tool_response>\n2\n</tool_response>")),
        ({"role": "assistant", "content": None}, ("assistant", "")),
    ],
)
def test_one_message(message: dict[str, Any], expected: tuple[str, str]) -> None:
    assert messages(message) == (expected,)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}, "has an image in message 1"),
        ({"role": "user", "content": [{"type": "text", "text": "a", "image": {"bytes": "x"}}]}, "has an image in"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "has an audio in message 1"),
        ({"role": "user", "content": [{"type": "thought"}]}, "as a part of message 1"),
        ({"role": "user", "content": {"text": "a"}}, "as the content of message 1: expected text"),
        ({"role": "assistant", "content": None, "tool_calls": [{}]}, "as a tool call of message 1"),
        ({"content": "a"}, 'as message 1: expected {"role": ..., "content": text}'),
    ],
)
def test_what_is_not_text_is_refused_by_name(message: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        messages(message)
    assert reason in caught.value.message


def test_messages_nested_too_deeply_are_refused() -> None:
    content: Any = "a"
    for _ in range(2000):
        content = [{"type": "tool_result", "content": content}]
    with pytest.raises(UnreadableError, match="is nested too deeply in message 1"):
        messages({"role": "user", "content": content})


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "tool_calls": [{"name": "book", "arguments": {"day": date(2026, 11, 28)}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "book", "input": {"day": date(2026, 11, 28)}}]},
    ],
)
def test_arguments_that_are_not_json_are_refused(message: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError, match="has a tool call in message 1 that is not JSON: Object of type date is"):
        messages(message)


def test_tool_calls_in_the_prompt_are_turns() -> None:
    turns, replies = parse_side("c", messages(*ASKED), (("assistant", "It is 2."),))
    assert turns == ("1 + 1?", "<tool_response>\n2\n</tool_response>")
    assert replies == (RENDERED_CALL, "It is 2.")
    whole = messages(*ASKED, {"role": "assistant", "content": "It is 2."})
    assert parse_side("c", (), whole) == (turns, replies)


def test_tool_calls_in_an_answer_are_refused_unless_asked_for() -> None:
    with pytest.raises(UnreadableError) as caught:
        parse_side("c", (), messages(*ASKED[:2]))
    assert caught.value.kind == "tool_calls"
    assert parse_side("c", (), messages(*ASKED[:2]), tool_calls="text") == (("1 + 1?",), (RENDERED_CALL,))
    whole = messages(*ASKED, {"role": "assistant", "content": "It is 2."})
    answer = f"{RENDERED_CALL}\n<tool_response>\n2\n</tool_response>\nIt is 2."
    assert parse_side("c", (), whole, tool_calls="text") == (("1 + 1?",), (answer,))
    assert parse_side("c", messages(*ASKED), (("assistant", "2"),), tool_calls="text")[1] == (RENDERED_CALL, "2")


def test_messages_in_a_row_are_joined_and_a_greeting_follows_an_empty_turn() -> None:
    user, assistant = (
        (lambda text: {"role": "user", "content": text}),
        (lambda text: {"role": "assistant", "content": text}),
    )
    assert parse_side("c", (), messages(user("a"), user("b"), assistant("c"))) == (("a\n\nb",), ("c",))
    greeted = messages(assistant("Hello!"), user("1 + 1?"), assistant("2"))
    assert parse_side("c", (), greeted) == (("", "1 + 1?"), ("Hello!", "2"))


@pytest.mark.parametrize("last", ["user", "assistant", "system"])
def test_a_prompt_that_does_not_end_in_the_users_message_is_refused(last: str) -> None:
    prompt = messages({"role": "user", "content": "a"}, {"role": last, "content": "b"})
    if last == "user":
        assert parse_side("c", prompt, (("assistant", "d"),)) == (("a\n\nb",), ("d",))
    else:
        with pytest.raises(UnreadableError, match="the roles are"):
            parse_side("c", prompt, (("assistant", "d"),))
