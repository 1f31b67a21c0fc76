"""Prompts and answers as the methods of `Judge` take them -> comparisons and conversations."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence

from tiebreak.data.issues import UnreadableError
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_messages, parse_side, system_message
from tiebreak.types import Comparison, Conversation

Turns = str | Sequence[str]
"""One turn, or the turns of a conversation in order."""
Prompt = Turns | Sequence[Mapping[str, str]]
"""One turn, the user's turns, or messages with `role` and `content` up to the last one of the user."""


def as_comparison(prompt: Prompt, a: Turns, b: Turns) -> Comparison:
    """A prompt with two answers.

    Raises:
        TypeError, ValueError: as in `as_conversation`.
    """
    if not _is_messages(prompt):  # `Comparison` checks the numbers of turns of all three
        return Comparison(as_turns("prompt", prompt), as_turns("a", a), as_turns("b", b))
    first, second = as_conversation(prompt, "a", a), as_conversation(prompt, "b", b)
    return Comparison(first.prompt, first.answer, second.answer, system=first.system)


def as_conversation(prompt: Prompt, name: str, answer: Turns) -> Conversation:
    """A prompt with one answer.

    Args:
        prompt: a text, the user's turns, or messages up to the last one of the user.
        name: of the argument `answer`, for error messages.
        answer: a text, or a reply to each turn; to messages the last reply.

    Raises:
        TypeError: one of them is neither a string nor a list of strings, or a message is not a text with a role.
        ValueError: the number of turns differs, or the roles of messages do not alternate.
    """
    replies = as_turns(name, answer)
    if not _is_messages(prompt):
        return Conversation(as_turns("prompt", prompt), replies)
    messages = _messages(prompt)
    if len(replies) != 1:
        raise ValueError(f"{name} has {len(replies)} turns: a prompt of messages takes one reply")
    try:
        turns, answers = parse_side("prompt", messages, (("assistant", replies[0]),))
    except UnreadableError as error:
        raise ValueError(f"prompt: {error.message}") from None
    return Conversation(turns, answers, system_message(messages))


def as_ranking_row(
    prompt: Prompt, answers: Sequence[Turns]
) -> tuple[tuple[tuple[str, ...], list[tuple[str, ...]]], str]:
    """A row of `Judge.rank_many`, and its system message.

    Raises:
        TypeError, ValueError: as in `as_conversation`.
    """
    if isinstance(answers, str):
        raise TypeError(f"answers is {reprlib.repr(answers)}: give a list of answers")
    if not _is_messages(prompt):
        return (as_turns("prompt", prompt), [as_turns(f"answers[{i}]", a) for i, a in enumerate(answers)]), ""
    sides = [as_conversation(prompt, f"answers[{i}]", answer) for i, answer in enumerate(answers)]
    return (sides[0].prompt if sides else ("",), [side.answer for side in sides]), system_message(_messages(prompt))


def as_turns(name: str, text: object) -> tuple[str, ...]:
    """A text or a list of turns as a tuple of turns; `name` is the argument's name for error messages.

    Raises:
        TypeError: it is neither a string nor a list of strings.
    """
    turns = (text,) if isinstance(text, str) else text
    if not isinstance(turns, Sequence) or not all(isinstance(turn, str) for turn in turns):
        raise TypeError(f"{name} is {reprlib.repr(text)}: give a string, or a list of strings, one per turn")
    return tuple(turns)


def _is_messages(prompt: Prompt) -> bool:
    return isinstance(prompt, Sequence) and not isinstance(prompt, str) and any(isinstance(m, Mapping) for m in prompt)


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    try:
        return parse_messages("prompt", [dict(m) if isinstance(m, Mapping) else m for m in prompt], role="user")
    except UnreadableError as error:
        raise TypeError(f"prompt {error.message}") from None
