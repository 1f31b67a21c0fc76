"""Prompts and answers as the methods of `Judge` take them -> comparisons and conversations."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from tiebreak.data.issues import UnreadableError
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_messages, parse_side, system_message
from tiebreak.types import Comparison, Conversation, join_system

Turns = str | Sequence[str]
"""One turn, or the turns of a conversation in order."""
Messages = Sequence[Mapping[str, Any]]
"""Messages with `role` and `content`, a text or a list of parts, as chat APIs have them."""
Prompt = Turns | Messages
"""One turn, the user's turns, or messages up to the last one of the user."""
Answer = Turns | Messages
"""One reply, a reply to each turn, or messages: the reply alone, or the whole conversation."""
RankingRow = tuple[tuple[str, ...], list[tuple[str, ...]], str]
"""The turns of a prompt, the turns of each answer to it, and the system message."""

HOW_TO_GIVE_TOOL_CALLS = 'give the call as text, such as <tool_call>{"name": ..., "arguments": ...}</tool_call>'


def as_comparison(prompt: Prompt, a: Answer, b: Answer) -> Comparison:
    """A prompt with two answers.

    Raises:
        TypeError, ValueError: as in `as_conversation`; or the answers are conversations with different prompts.
    """
    if not any(map(_is_messages, (prompt, a, b))):  # `Comparison` checks the numbers of turns of all three
        return Comparison(as_turns("prompt", prompt), as_turns("a", a), as_turns("b", b))
    first, second = _replies_to_one_prompt(prompt, {"a": a, "b": b})
    return Comparison(first.prompt, first.answer, second.answer, system=first.system)


def as_conversation(prompt: Prompt, answer: Answer, name: str = "answer") -> Conversation:
    """A prompt with one answer.

    Args:
        prompt: a text, the user's turns, or messages up to the last one of the user; empty if the answer is a whole
            conversation of messages.
        answer: a text, or a reply to each turn; or messages: the last reply, or the whole conversation. To a prompt of
            messages a text is the last reply.
        name: of the answer, for error messages.

    Raises:
        TypeError: one of them is neither a string nor a list of strings, or a message is not a text with a role.
        ValueError: the number of turns differs, or the messages do not make a conversation that ends in a text of the
            assistant.
    """
    if not _is_messages(prompt) and not _is_messages(answer):
        return Conversation(as_turns("prompt", prompt), as_turns(name, answer))
    if not _is_messages(answer):
        replies = as_turns(name, answer)
        if len(replies) != 1:
            raise ValueError(f"{name} has {len(replies)} turns: a prompt of messages takes one reply")
        answer = replies[0]
    try:
        asked, reply = as_messages("prompt", prompt, "user"), as_messages(name, answer, "assistant")
        turns, answers = parse_side(name, asked, reply)
    except UnreadableError as error:
        if error.kind == "tool_calls":
            raise ValueError(f"{error.column} ends in a tool call: {HOW_TO_GIVE_TOOL_CALLS}") from None
        if error.kind == "not_text":
            raise TypeError(f"{error.column} {error.message}") from None
        raise ValueError(f"{error.column if _is_messages(answer) else 'prompt'}: {error.message}") from None
    return Conversation(turns, answers, system_message(reply, asked))


def as_ranking_row(prompt: Prompt, answers: Sequence[Answer], system: str = "") -> RankingRow:
    """A row of `Judge.rank_many`.

    Args:
        prompt: as in `as_conversation`.
        answers: each as in `as_conversation`.
        system: the system message, with which the first turn of a prompt of turns begins. Messages may begin with it.

    Raises:
        TypeError, ValueError: as in `as_conversation`; or the answers are conversations with different prompts, or
            messages begin with another system message.
    """
    if isinstance(answers, str):
        raise TypeError(f"answers is {reprlib.repr(answers)}: give a list of answers")
    if not answers or not any(map(_is_messages, (prompt, *answers))):
        turns = ("",) if _is_messages(prompt) else as_turns("prompt", prompt)
        return turns, [as_turns(f"answers[{i}]", a) for i, a in enumerate(answers)], system
    sides = _replies_to_one_prompt(prompt, {f"answers[{i}]": answer for i, answer in enumerate(answers)})
    turns, found = sides[0].prompt, sides[0].system
    if system and not found:
        turns = (join_system(system, turns[0]), *turns[1:])
    elif system not in ("", found):
        raise ValueError("the messages begin with a system message, and systems has another: give one of them")
    return turns, [side.answer for side in sides], system or found


def as_ranking_rows(rows: Sequence[tuple[Prompt, Sequence[Answer]]], systems: Sequence[str] | None) -> list[RankingRow]:
    """The rows of `Judge.rank_many`, each with its system message, which is empty by default.

    Raises:
        TypeError: as in `as_ranking_row`.
        ValueError: as in `as_ranking_row`; or there are not as many system messages as rows.
    """
    if systems is None:
        systems = [""] * len(rows)
    if len(systems) != len(rows):
        raise ValueError(f"systems has {len(systems):,} texts for {len(rows):,} prompts: give one per prompt")
    return [as_ranking_row(*row, system) for row, system in zip(rows, systems, strict=True)]


def as_turns(name: str, text: object) -> tuple[str, ...]:
    """A text or a list of turns as a tuple of turns; `name` is the argument's name for error messages.

    Raises:
        TypeError: it is neither a string nor a list of strings.
    """
    turns = (text,) if isinstance(text, str) else text
    if not isinstance(turns, Sequence) or not all(isinstance(turn, str) for turn in turns):
        raise TypeError(
            f"{name} is {reprlib.repr(text)}: give a string, or a list of strings, one per turn, or of messages"
        )
    return tuple(turns)


def as_messages(name: str, text: str | Sequence[object], role: str) -> tuple[Message, ...]:
    """A text, as one message of a role, or a list of messages; `name` is for error messages.

    Raises:
        UnreadableError: a message is not a text with a role.
    """
    if isinstance(text, str):
        return ((role, text),)  # even if it looks like JSON: policies and users write JSON
    return parse_messages(name, list(text), role=role)


def _replies_to_one_prompt(prompt: Prompt, answers: Mapping[str, Answer]) -> list[Conversation]:
    """The conversations of a prompt with several answers, by the names of the answers."""
    sides = [as_conversation(prompt, answer, name) for name, answer in answers.items()]
    for name, side in zip(answers, sides, strict=True):
        if side.prompt != sides[0].prompt:
            raise ValueError(f"{name} is a conversation with another prompt than {next(iter(answers))}")
    return sides


def _is_messages(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(m, Mapping) for m in value)
