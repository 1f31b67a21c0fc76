"""Render a comparison or a conversation as text, with a template that has slots.

A comparison of several turns has two parts. Its *history* is the longest run of leading turns, without the last turn,
in which both sides gave the same answer: it is rendered once, as a dialogue in the slot of the prompt. In the *later
turns* the sides differ: the slot of the prompt continues with the user's turns, and the slot of each answer holds the
replies of that side. With one turn the slots hold the plain texts.

    turn   user  A    B          {prompt}            User: p0
    0      p0    r0   r0                             Assistant: r0
    1      p1    a1   b1    ->                       User: p1
    2      p2    a2   b2                             User: p2
                                 {response_a}        a1, a2
                                 {response_b}        b1, b2        (blank lines between all of them)

A conversation, which is one side alone, is a dialogue up to its last prompt, in the slot of the prompt; the reply to
that is in the slot {response}. It does not depend on the other side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import ClassVar, Final

from tiebreak.errors import RecipeError
from tiebreak.types import Comparison, Conversation

SLOTS: Final = ("{prompt}", "{response_a}", "{response_b}")
ANSWER_SLOTS: Final = ("{prompt}", "{response}")
DROPPED_TURNS_MARK: Final = "[...]"
"""Replaces the dropped turns, once in every slot that lost some."""


EMPTY_COMPARISON: Final = Comparison(("",), ("",), ("",))
EMPTY_COMPARISON_DIALOGUES: Final = tuple(Comparison(("", ""), ("a", ""), (other, "")) for other in "ab")
"""Two turns, of which the last is empty; the sides of the first are equal, or differ."""
EMPTY_CONVERSATION: Final = Conversation(("",), ("",))
EMPTY_CONVERSATION_DIALOGUES: Final = (Conversation(("", ""), ("", "")),)


@dataclass(frozen=True)
class Template:
    """The text around a prompt and two answers: `{prompt}`, `{response_a}`, `{response_b}`, each exactly once.

    All other braces, in the template or in the texts, are plain characters.

    Raises:
        RecipeError: a slot is missing or repeated.
    """

    adds_special_tokens: ClassVar[bool] = True
    markers: ClassVar[frozenset[str]] = frozenset()
    empty_row: ClassVar[Comparison] = EMPTY_COMPARISON
    empty_dialogues: ClassVar[tuple[Comparison, ...]] = EMPTY_COMPARISON_DIALOGUES
    text: str
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pieces", _pieces(self.text, SLOTS))

    def outline(self, comparison: Comparison, *, turns_dropped: int = 0) -> Comparison:
        """A comparison of harmless texts; the template's special tokens are the same around all texts."""
        return Comparison(("a",), ("a",), ("a",))

    def render(self, comparison: Comparison, *, turns_dropped: int = 0) -> str:
        """The whole text that the model reads, without the `turns_dropped` oldest turns.

        Swapping the comparison exchanges the contents of the two answer slots, and changes nothing else.

        Raises:
            ValueError: `turns_dropped` includes the closing turn.
        """
        return self.fill(*_slot_contents(comparison, turns_dropped))

    def fill(self, prompt: str, response_a: str, response_b: str) -> str:
        """The template with these texts in its slots."""
        contents = dict(zip(SLOTS, (prompt, response_a, response_b), strict=True))
        return "".join(contents.get(piece, piece) for piece in self._pieces)


@dataclass(frozen=True)
class AnswerTemplate:
    """The text around a prompt and one answer: `{prompt}` and `{response}`, each exactly once. See `Template`.

    Raises:
        RecipeError: a slot is missing or repeated.
    """

    adds_special_tokens: ClassVar[bool] = True
    markers: ClassVar[frozenset[str]] = frozenset()
    empty_row: ClassVar[Conversation] = EMPTY_CONVERSATION
    empty_dialogues: ClassVar[tuple[Conversation, ...]] = EMPTY_CONVERSATION_DIALOGUES
    text: str
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pieces", _pieces(self.text, ANSWER_SLOTS))

    def outline(self, conversation: Conversation, *, turns_dropped: int = 0) -> Conversation:
        """A conversation of harmless texts; the template's special tokens are the same around all texts."""
        return Conversation(("a",), ("a",))

    def render(self, conversation: Conversation, *, turns_dropped: int = 0) -> str:
        """The whole text that the model reads, without the `turns_dropped` oldest turns.

        Raises:
            ValueError: `turns_dropped` includes the closing turn.
        """
        turns = len(conversation.prompt)
        check_turns_dropped(turns_dropped, turns)
        prompt = [DROPPED_TURNS_MARK] if turns_dropped else []
        prompt += _dialogue(conversation.prompt, conversation.answer, range(turns_dropped, turns - 1))
        prompt.append(f"User: {conversation.prompt[-1]}" if turns > 1 else conversation.prompt[-1])
        contents = dict(zip(ANSWER_SLOTS, ("\n\n".join(prompt), conversation.answer[-1]), strict=True))
        return "".join(contents.get(piece, piece) for piece in self._pieces)


def _pieces(text: str, slots: Sequence[str]) -> tuple[str, ...]:
    """The template split at its slots; the slots are pieces too."""
    for slot in slots:
        _check_slot(slot, text, slots)
    pieces = re.split("|".join(f"({re.escape(slot)})" for slot in slots), text)
    return tuple(piece for piece in pieces if piece)


def _check_slot(slot: str, text: str, slots: Sequence[str]) -> None:
    """Raise an error unless the slot appears exactly once."""
    count = text.count(slot)
    if count == 1:
        return
    if count:
        raise RecipeError(f"template: the slot {slot} appears {count} times; leave it in one place only")
    others = [brace for brace in re.findall(r"\{[^{}]*\}?", text) if brace not in slots]
    nearest = get_close_matches(slot, others, n=1)
    remedy = f"rename {nearest[0]} to {slot}" if nearest else f"write {slot} where its text belongs"
    heads = {SLOTS: "pairwise", ANSWER_SLOTS: "pointwise"}
    other_slots = next(other for other in heads if other != tuple(slots))
    if all(text.count(other) == 1 for other in other_slots):
        remedy += f" (these are the slots of model.head={heads[other_slots]})"
    raise RecipeError(f"template: the slot {slot} is missing; {remedy}")


def _slot_contents(comparison: Comparison, turns_dropped: int) -> tuple[str, str, str]:
    """The contents of the slots prompt, response_a and response_b; see the diagram at the top of this module."""
    check_turns_dropped(turns_dropped, len(comparison.prompt))
    history = history_length(comparison)
    later = max(history, turns_dropped)
    prompt = [DROPPED_TURNS_MARK] if turns_dropped else []
    prompt += _dialogue(comparison.prompt, comparison.answer_a, range(turns_dropped, history))
    # Speakers are named only if there is a dialogue, so that the seed's text is unchanged without one.
    prompt += [f"User: {turn}" if history else turn for turn in comparison.prompt[later:]]
    mark = [DROPPED_TURNS_MARK] if turns_dropped > history else []
    answer_a = [*mark, *comparison.answer_a[later:]]
    answer_b = [*mark, *comparison.answer_b[later:]]
    return "\n\n".join(prompt), "\n\n".join(answer_a), "\n\n".join(answer_b)


def check_turns_dropped(turns_dropped: int, turns: int) -> None:
    """Raise ValueError unless the last of the turns is left."""
    if not 0 <= turns_dropped < turns:
        raise ValueError(f"turns_dropped is {turns_dropped}, but must leave the last of {turns} turns")


def _dialogue(prompt: Sequence[str], answers: Sequence[str], turns: range) -> list[str]:
    """The lines of both speakers in these turns."""
    return [line for turn in turns for line in (f"User: {prompt[turn]}", f"Assistant: {answers[turn]}")]


def history_length(comparison: Comparison) -> int:
    """The number of leading turns, without the last turn, that have the same answer on both sides."""
    sides = zip(comparison.answer_a, comparison.answer_b, strict=True)
    return next((turn for turn, (a, b) in enumerate(sides) if a != b), len(comparison.prompt) - 1)


SEED_TEMPLATE: Final = Template(
    "Prompt: {prompt} \n\nResponse_a: {response_a}\n\nResponse_b: {response_b}\n\n--------\n\nWhich one is better ?"
)
"""The exact text of the project's first notebook, so that checkpoints trained there can be used."""

REWARD_TEMPLATE: Final = AnswerTemplate(
    "Prompt: {prompt} \n\nResponse: {response}\n\n--------\n\nIs the response good ?"
)
"""The same for a single answer."""
