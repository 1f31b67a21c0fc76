"""Prompts and answers of Tiebreak's own API -> comparisons and conversations."""

from __future__ import annotations

from collections.abc import Sequence

from tiebreak.data import UnreadableError
from tiebreak.data.messages import parse_side
from tiebreak.formatting import pluralize
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.serving.schema import Message
from tiebreak.types import Comparison, Conversation

Prompt = str | Sequence[str] | Sequence[Message]
Answer = str | Sequence[str]


def parse_conversation(prompt: Prompt, answer: Answer, name: str = "answer") -> Conversation:
    """A prompt and an answer to it.

    Args:
        prompt: a text, the user's turns, or messages up to the last one of the user.
        answer: a text, or a reply to each turn; with messages the last reply alone.
        name: of the answer, for error messages.

    Raises:
        InvalidRequestError: the turns do not make a conversation.
    """
    replies = (answer,) if isinstance(answer, str) else tuple(answer)
    if isinstance(prompt, str):
        turns: tuple[str, ...] = (prompt,)
    elif any(isinstance(turn, Message) for turn in prompt):
        if len(replies) != 1:
            raise InvalidRequestError(
                f"{name} has {pluralize(len(replies), 'turn')}. A prompt of messages takes one reply."
            )
        messages = tuple((turn.role, turn.content) for turn in prompt if isinstance(turn, Message))
        try:
            turns, replies = parse_side("prompt", messages, (("assistant", replies[0]),))
        except UnreadableError as error:
            raise InvalidRequestError(f"prompt: {error.message}") from error
    else:
        turns = tuple(turn for turn in prompt if isinstance(turn, str))
    if len(replies) != len(turns):
        raise InvalidRequestError(
            f"The prompt has {pluralize(len(turns), 'turn')} and {name} has {len(replies)}. Give one reply per turn."
        )
    return Conversation(turns, replies)


def parse_comparison(prompt: Prompt, answers: Sequence[Answer]) -> Comparison:
    """A prompt with two answers.

    Raises:
        InvalidRequestError: as in `parse_conversation`.
    """
    a, b = (parse_conversation(prompt, answer, f"answers[{i}]") for i, answer in enumerate(answers))
    return Comparison(a.prompt, a.answer, b.answer)
