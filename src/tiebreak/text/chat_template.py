"""Templates that render rows in the base model's own chat template (`text.template: chat`).

    one side            [system], user, (assistant, user)*, assistant
    two sides           [system], (user, assistant)*, user

The conversation of one side is rendered as it took place. For a comparison the history that both sides share is
rendered as turns; the last message of the user holds the rest, in the layout of the default pairwise template:

    Prompt: ...    Response_a: ...    Response_b: ...    Which one is better ?

A system message that the chat template refuses or leaves out goes in front of the user's first turn. If the oldest
turns are dropped, the system message stays, and the first message left begins with a mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from tiebreak.text.chat_format import ChatFormat, Message
from tiebreak.text.template import (
    DROPPED_TURNS_MARK,
    EMPTY_COMPARISON,
    EMPTY_COMPARISON_DIALOGUES,
    EMPTY_CONVERSATION,
    EMPTY_CONVERSATION_DIALOGUES,
    SEED_TEMPLATE,
    check_turns_dropped,
    history_length,
)
from tiebreak.types import Comparison, Conversation, join_system

CHAT: Final = "chat"
"""What `text.template` says to use these templates."""


@dataclass(frozen=True)
class AnswerChatTemplate:
    """The conversation of one side in a chat format."""

    text: ClassVar[str] = CHAT
    adds_special_tokens: ClassVar[bool] = False
    empty_row: ClassVar[Conversation] = EMPTY_CONVERSATION
    empty_dialogues: ClassVar[tuple[Conversation, ...]] = EMPTY_CONVERSATION_DIALOGUES
    format: ChatFormat

    @property
    def markers(self) -> frozenset[str]:
        """Added tokens that the chat template writes."""
        return self.format.markers

    def outline(self, conversation: Conversation, *, turns_dropped: int = 0) -> Conversation:
        """A conversation with as many turns left, of harmless texts."""
        turns = len(conversation.prompt) - turns_dropped
        system = "a" if conversation.system else ""
        first = "a\n\na" if system else "a"
        return Conversation((first, *["a"] * (turns - 1)), ("a",) * turns, system)

    def render(self, conversation: Conversation, *, turns_dropped: int = 0) -> str:
        """The text that the model reads, without the `turns_dropped` oldest turns.

        Raises:
            ValueError: `turns_dropped` includes the closing turn.
            RecipeError: the chat template refuses the conversation.
        """
        system, prompt = _turns_left(conversation, turns_dropped, self.format)
        return self.format.render(_dialogue(prompt, conversation.answer[turns_dropped:]), system)


@dataclass(frozen=True)
class ChatTemplate:
    """A comparison in a chat format: shared turns, then one message with both answers."""

    text: ClassVar[str] = CHAT
    adds_special_tokens: ClassVar[bool] = False
    empty_row: ClassVar[Comparison] = EMPTY_COMPARISON
    empty_dialogues: ClassVar[tuple[Comparison, ...]] = EMPTY_COMPARISON_DIALOGUES
    format: ChatFormat

    @property
    def markers(self) -> frozenset[str]:
        """Added tokens that the chat template writes."""
        return self.format.markers

    def outline(self, comparison: Comparison, *, turns_dropped: int = 0) -> Comparison:
        """A comparison with as many shared turns left, of harmless texts."""
        history = max(history_length(comparison) - turns_dropped, 0)
        system = "a" if comparison.system else ""
        first = "a\n\na" if system else "a"
        shared = ("a",) * history
        return Comparison((first, *shared), (*shared, "a"), (*shared, "b"), system=system)

    def render(self, comparison: Comparison, *, turns_dropped: int = 0) -> str:
        """The text that the model reads, without the `turns_dropped` oldest turns.

        Raises:
            ValueError: `turns_dropped` includes the closing turn.
            RecipeError: the chat template refuses the conversation.
        """
        history = history_length(comparison)
        system, prompt = _turns_left(comparison, turns_dropped, self.format)
        shared = max(history - turns_dropped, 0)
        answers = comparison.answer_a[turns_dropped:], comparison.answer_b[turns_dropped:]
        if turns_dropped > history:  # both sides lost answers of their own
            a, b = ((f"{DROPPED_TURNS_MARK}\n\n{side[0]}", *side[1:]) for side in answers)
            answers = a, b
        slots = ("\n\n".join(texts[shared:]) for texts in (prompt, *answers))
        messages = (*_dialogue(prompt[:shared], answers[0]), ("user", SEED_TEMPLATE.fill(*slots)))
        return self.format.render(messages, system)


def _turns_left(row: Conversation | Comparison, dropped: int, chat: ChatFormat) -> tuple[str, tuple[str, ...]]:
    """The system message, and the user's turns that are left; it stands in front of them if the format has none."""
    check_turns_dropped(dropped, len(row.prompt))
    first, *later = row.user_turns[dropped:]
    first = f"{DROPPED_TURNS_MARK}\n\n{first}" if dropped else first
    if chat.has_system:
        return row.system, (first, *later)
    return "", (join_system(row.system, first), *later)


def _dialogue(prompt: tuple[str, ...], answers: tuple[str, ...]) -> tuple[Message, ...]:
    pairs = zip(prompt, answers, strict=False)  # the answers to the shared turns come first
    return tuple(message for user, reply in pairs for message in (("user", user), ("assistant", reply)))
