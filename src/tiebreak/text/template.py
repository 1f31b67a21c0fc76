"""Comparison or conversation -> text: a template with slots, and what is said in each of them.

A comparison of several turns has two parts. Its *history* is the longest run of leading turns, never the
last, in which both sides gave the same answer: it is said once, as a dialogue in the prompt's slot. In the
*later turns* the sides differ: the prompt's slot goes on with what the user said, and each answer's slot holds
that side's replies. With one turn the slots hold the bare texts.

    turn   user  A    B          {prompt}            User: p0
    0      p0    r0   r0                             Assistant: r0
    1      p1    a1   b1    ->                       User: p1
    2      p2    a2   b2                             User: p2
                                 {response_a}        a1, a2
                                 {response_b}        b1, b2        (blank lines between all of them)

A conversation, one side alone, is a dialogue up to its last prompt, in the prompt's slot; the reply to that stands in
the slot {response}. What it says does not depend on another side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Literal

from tiebreak.errors import RecipeError
from tiebreak.types import Comparison, Conversation

SLOTS: Final = ("{prompt}", "{response_a}", "{response_b}")
ANSWER_SLOTS: Final = ("{prompt}", "{response}")
DROPPED_TURNS_MARK: Final = "[...]"
"""Stands once, in every slot that lost turns, where the dropped turns stood."""


@dataclass(frozen=True)
class Template:
    """The text around a prompt and two answers: `{prompt}`, `{response_a}`, `{response_b}`, each exactly once.

    Every other brace, in the template or in what people wrote, stands for itself.

    Raises:
        RecipeError: a slot is missing or repeated.
    """

    text: str
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pieces", _pieces(self.text, SLOTS))

    @property
    def bare(self) -> Comparison:
        """A comparison in which nothing is said."""
        return Comparison(("",), ("",), ("",))

    def render(self, comparison: Comparison, *, turns_dropped: int = 0) -> str:
        """The whole text the model reads, without the `turns_dropped` oldest turns.

        Swapping the comparison exchanges what the two answers' slots hold, and nothing else.

        Raises:
            ValueError: `turns_dropped` does not leave the closing turn.
        """
        said = dict(zip(SLOTS, _say(comparison, turns_dropped), strict=True))
        return "".join(said.get(piece, piece) for piece in self._pieces)


@dataclass(frozen=True)
class AnswerTemplate:
    """The text around a prompt and one answer: `{prompt}` and `{response}`, each exactly once; else as `Template`.

    Raises:
        RecipeError: a slot is missing or repeated.
    """

    text: str
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pieces", _pieces(self.text, ANSWER_SLOTS))

    @property
    def bare(self) -> Conversation:
        """A conversation in which nothing is said."""
        return Conversation(("",), ("",))

    def render(self, conversation: Conversation, *, turns_dropped: int = 0) -> str:
        """The whole text the model reads, without the `turns_dropped` oldest turns.

        Raises:
            ValueError: `turns_dropped` does not leave the closing turn.
        """
        turns = len(conversation.prompt)
        _require_closing_turn(turns_dropped, turns)
        asked = [DROPPED_TURNS_MARK] if turns_dropped else []
        asked += _dialogue(conversation.prompt, conversation.answer, range(turns_dropped, turns - 1))
        asked.append(f"User: {conversation.prompt[-1]}" if turns > 1 else conversation.prompt[-1])
        said = dict(zip(ANSWER_SLOTS, ("\n\n".join(asked), conversation.answer[-1]), strict=True))
        return "".join(said.get(piece, piece) for piece in self._pieces)


def _pieces(text: str, slots: Sequence[str]) -> tuple[str, ...]:
    """The template cut at its slots, which are pieces of their own."""
    for slot in slots:
        _require_once(slot, text, slots)
    pieces = re.split("|".join(f"({re.escape(slot)})" for slot in slots), text)
    return tuple(piece for piece in pieces if piece)


def _require_once(slot: str, text: str, slots: Sequence[str]) -> None:
    found = text.count(slot)
    if found == 1:
        return
    if found:
        raise RecipeError(f"template: the slot {slot} appears {found} times; leave it in one place only")
    others = [brace for brace in re.findall(r"\{[^{}]*\}?", text) if brace not in slots]
    nearest = get_close_matches(slot, others, n=1)
    remedy = f"did you mean it by {nearest[0]}?" if nearest else f"write {slot} where its text belongs"
    kinds = {SLOTS: "pairwise", ANSWER_SLOTS: "pointwise"}
    other = next(kind for kind in kinds if kind != tuple(slots))
    if all(text.count(each) == 1 for each in other):
        remedy += f" (these are the slots of model.head={kinds[other]})"
    raise RecipeError(f"template: the slot {slot} is missing; {remedy}")


def _say(comparison: Comparison, turns_dropped: int) -> tuple[str, str, str]:
    """What the slots (prompt, response_a, response_b) hold; see the drawing on top of the module."""
    turns = len(comparison.prompt)
    _require_closing_turn(turns_dropped, turns)
    history = _history(comparison)
    later = max(history, turns_dropped)
    asked = [DROPPED_TURNS_MARK] if turns_dropped else []
    asked += _dialogue(comparison.prompt, comparison.answer_a, range(turns_dropped, history))
    # Speakers are named only where there is a dialogue; without one the seed's text stays as it was.
    asked += [f"User: {said}" if history else said for said in comparison.prompt[later:]]
    mark = [DROPPED_TURNS_MARK] if turns_dropped > history else []
    slots = asked, [*mark, *comparison.answer_a[later:]], [*mark, *comparison.answer_b[later:]]
    prompt, a, b = ("\n\n".join(said) for said in slots)
    return prompt, a, b


def _require_closing_turn(turns_dropped: int, turns: int) -> None:
    if not 0 <= turns_dropped < turns:
        raise ValueError(f"turns_dropped is {turns_dropped}, but must leave the last of {turns} turns")


def _dialogue(prompt: Sequence[str], answers: Sequence[str], turns: range) -> list[str]:
    """What both speakers said in these turns."""
    return [line for turn in turns for line in (f"User: {prompt[turn]}", f"Assistant: {answers[turn]}")]


def _history(comparison: Comparison) -> int:
    """How many leading turns, the last never among them, have the same answer on both sides."""
    sides = zip(comparison.answer_a, comparison.answer_b, strict=True)
    return next((turn for turn, (a, b) in enumerate(sides) if a != b), len(comparison.prompt) - 1)


SEED_TEMPLATE: Final = Template(
    "Prompt: {prompt} \n\nResponse_a: {response_a}\n\nResponse_b: {response_b}\n\n--------\n\nWhich one is better ?"
)
"""The text of the project's first notebook, character by character: checkpoints trained there read it."""


REWARD_TEMPLATE: Final = AnswerTemplate(
    "Prompt: {prompt} \n\nResponse: {response}\n\n--------\n\nIs the response good ?"
)
"""The same for one answer alone."""


def template_of(text: str | None, head: Literal["pairwise", "pointwise"]) -> Template | AnswerTemplate:
    """The template of a recipe: its own, or the one that comes with the head.

    Raises:
        RecipeError: a slot is missing or repeated.
    """
    if head == "pairwise":
        return Template(text) if text else SEED_TEMPLATE
    return AnswerTemplate(text) if text else REWARD_TEMPLATE
