"""Prompts and answers of Tiebreak's own API -> comparisons and conversations."""

from __future__ import annotations

from collections.abc import Sequence

from tiebreak.data import UnreadableError
from tiebreak.data.messages import parse_side, system_message
from tiebreak.formatting import pluralize
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.serving.schema import Message
from tiebreak.types import Comparison, Conversation, join_system

Prompt = str | Sequence[str] | Sequence[Message]
Answer = str | Sequence[str]


def parse_conversation(prompt: Prompt, answer: Answer, system: str = "", name: str = "answer") -> Conversation:
    """A prompt and an answer to it.

    Args:
        prompt: a text, the user's turns, or messages up to the last one of the user.
        answer: a text, or a reply to each turn; with messages the last reply alone.
        system: the system message, if it is not among the messages.
        name: of the answer, for error messages.

    Raises:
        InvalidRequestError: the turns do not make a conversation.
    """
    replies = (answer,) if isinstance(answer, str) else tuple(answer)
    if isinstance(prompt, str):
        turns: tuple[str, ...] = (join_system(system, prompt),)
    elif any(isinstance(turn, Message) for turn in prompt):
        if len(replies) != 1:
            raise InvalidRequestError(
                f"{name} has {pluralize(len(replies), 'turn')}. A prompt of messages takes one reply."
            )
        messages = tuple((turn.role, turn.content) for turn in prompt if isinstance(turn, Message))
        if system:
            if system_message(messages):
                raise InvalidRequestError("The prompt begins with a system message, and system is another. Give one.")
            messages = (("system", system), *messages)
        system = system_message(messages)
        try:
            turns, replies = parse_side("prompt", messages, (("assistant", replies[0]),))
        except UnreadableError as error:
            raise InvalidRequestError(f"prompt: {error.message}") from error
    else:
        turns = tuple(turn for turn in prompt if isinstance(turn, str))
        turns = (join_system(system, turns[0]), *turns[1:])
    if len(replies) != len(turns):
        raise InvalidRequestError(
            f"The prompt has {pluralize(len(turns), 'turn')} and {name} has {len(replies)}. Give one reply per turn."
        )
    return Conversation(turns, replies, system)


def parse_comparison(prompt: Prompt, answers: Sequence[Answer], system: str = "") -> Comparison:
    """A prompt with two answers.

    Raises:
        InvalidRequestError: as in `parse_conversation`.
    """
    a, b = (parse_conversation(prompt, answer, system, f"answers[{i}]") for i, answer in enumerate(answers))
    return Comparison(a.prompt, a.answer, b.answer, system=a.system)
