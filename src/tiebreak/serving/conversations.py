"""Prompts and answers of a request -> comparisons and conversations."""

from __future__ import annotations

from collections.abc import Sequence

from tiebreak.data import UnreadableError, replace_lone_surrogates
from tiebreak.data.messages import parse_side
from tiebreak.formatting import pluralize
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.serving.schema import Message
from tiebreak.types import Comparison, Conversation

Prompt = str | Sequence[str] | Sequence[Message]
Answer = str | Sequence[str]


def conversation_of(prompt: Prompt, answer: Answer, name: str = "answer") -> Conversation:
    """What a user said, and what was replied.

    Args:
        prompt: a text, the user's turns, or messages up to the last of the user.
        answer: a text, or as many replies as there are turns; to messages the reply alone.
        name: of the answer, for what is wrong with it.

    Raises:
        InvalidRequestError: they do not make a conversation.
    """
    replies = (answer,) if isinstance(answer, str) else tuple(answer)
    if isinstance(prompt, str):
        turns: tuple[str, ...] = (prompt,)
    else:
        texts = [turn for turn in prompt if isinstance(turn, str)]
        turns = tuple(texts)
        if not texts:
            messages = tuple((m.role, m.content) for m in prompt if isinstance(m, Message))
            if len(replies) != 1:
                raise InvalidRequestError(f"{name} has {pluralize(len(replies), 'turn')}: to messages it is one reply.")
            try:
                turns, replies = parse_side("prompt", messages, (("assistant", replies[0]),))
            except UnreadableError as error:
                raise InvalidRequestError(f"prompt: {error.message}") from error
    if len(replies) != len(turns):
        raise InvalidRequestError(
            f"The prompt has {pluralize(len(turns), 'turn')} and {name} {len(replies)}: give one reply a turn."
        )
    return Conversation(turns, replies).map_texts(lambda text: replace_lone_surrogates(text)[0])


def comparison_of(prompt: Prompt, answers: Sequence[Answer]) -> Comparison:
    """A prompt with two answers.

    Raises:
        InvalidRequestError: as in `conversation_of`.
    """
    a, b = (conversation_of(prompt, answer, f"answers[{i}]") for i, answer in enumerate(answers))
    return Comparison(a.prompt, a.answer, b.answer)
