"""Prompts and answers of Tiebreak's own API -> comparisons and conversations."""

from __future__ import annotations

from collections.abc import Sequence

from tiebreak.data import UnreadableError
from tiebreak.data.messages import parse_side, system_message
from tiebreak.formatting import pluralize
from tiebreak.serving.errors import InvalidRequestError, unreadable_error
from tiebreak.serving.schema import Message
from tiebreak.types import Comparison, Conversation, join_system

Prompt = str | Sequence[str] | Sequence[Message]
Answer = str | Sequence[str] | Sequence[Message]


def parse_conversation(prompt: Prompt, answer: Answer, system: str = "", name: str = "answer") -> Conversation:
    """A prompt and an answer to it.

    Args:
        prompt: a text, the user's turns, or messages up to the last one of the user.
        answer: a text, or a reply to each turn; or messages, the last reply alone or the whole conversation. To a
            prompt of messages a text is the last reply.
        system: the system message, if it is not among the messages.
        name: of the answer, for error messages.

    Raises:
        InvalidRequestError: the turns or messages do not make a conversation that ends in the assistant's text.
    """
    if _is_messages(prompt) or _is_messages(answer):
        return _parse_messages(prompt, answer, system, name)
    turns, replies = _turns(prompt), _turns(answer)
    turns = (join_system(system, turns[0]), *turns[1:])
    if len(replies) != len(turns):
        raise InvalidRequestError(
            f"The prompt has {pluralize(len(turns), 'turn')} and {name} has {len(replies)}. Give one reply per turn."
        )
    return Conversation(turns, replies, system)


def parse_conversations(prompt: Prompt, answers: Sequence[Answer], system: str = "") -> list[Conversation]:
    """A prompt with each of its answers.

    Raises:
        InvalidRequestError: as in `parse_conversation`; or the answers are conversations with different prompts.
    """
    sides = [parse_conversation(prompt, answer, system, f"answers[{i}]") for i, answer in enumerate(answers)]
    for i, side in enumerate(sides):
        if side.prompt != sides[0].prompt:
            raise InvalidRequestError(f"answers[{i}] is a conversation with another prompt than answers[0].")
    return sides


def parse_comparison(prompt: Prompt, answers: Sequence[Answer], system: str = "") -> Comparison:
    """A prompt with two answers.

    Raises:
        InvalidRequestError: as in `parse_conversations`.
    """
    a, b = parse_conversations(prompt, answers, system)
    return Comparison(a.prompt, a.answer, b.answer, system=a.system)


def _parse_messages(prompt: Prompt, answer: Answer, system: str, name: str) -> Conversation:
    asked = _messages("prompt", prompt, "user", "Messages as an answer take a prompt of messages, or a text")
    reply = _messages(name, answer, "assistant", "A prompt of messages takes one reply")
    found = system_message(reply, asked)
    if system and found:
        raise InvalidRequestError("The messages begin with a system message, and system is another. Give one.")
    try:
        turns, replies = parse_side(name, asked, reply)
    except UnreadableError as error:
        raise unreadable_error(name if _is_messages(answer) else "prompt", error) from error
    return Conversation((join_system(system, turns[0]), *turns[1:]), replies, system or found)


def _messages(name: str, value: Prompt | Answer, role: str, advice: str) -> tuple[tuple[str, str], ...]:
    """Messages, or a text as one message of a role."""
    if _is_messages(value):
        return tuple(m.read(name, i) for i, m in enumerate(value, start=1) if isinstance(m, Message))
    turns = _turns(value)
    if len(turns) != 1:
        raise InvalidRequestError(f"{name} has {pluralize(len(turns), 'turn')}. {advice}.")
    return ((role, turns[0]),)


def _is_messages(value: Prompt | Answer) -> bool:
    return not isinstance(value, str) and any(isinstance(item, Message) for item in value)


def _turns(value: Prompt | Answer) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(turn for turn in value if isinstance(turn, str))
