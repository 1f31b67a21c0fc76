"""The central values: a comparison of two answers to a prompt, with its vote, and one side of it, a conversation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import Final, Literal

from tiebreak.prompt_folding import fold_prompt
from tiebreak.unicode import clean_text

Outcome = Literal["model_a", "model_b", "tie"]
OUTCOMES: Final[tuple[Outcome, Outcome, Outcome]] = ("model_a", "model_b", "tie")
"""The order of all votes, logits and probabilities in Tiebreak (that of Kaggle's `winner_*` columns)."""

Vote = tuple[float, float, float]
"""Probabilities over `OUTCOMES`: one-hot for the vote of one person, any distribution for a soft label."""

A_WINS: Final[Vote] = (1.0, 0.0, 0.0)
B_WINS: Final[Vote] = (0.0, 1.0, 0.0)
TIE: Final[Vote] = (0.0, 0.0, 1.0)


def swap_vote(vote: Vote) -> Vote:
    """The same vote with A and B exchanged; a tie stays a tie."""
    a, b, tie = vote
    return (b, a, tie)


Tags = tuple[tuple[str, str], ...]
"""Further facts about a row, as (name, value) pairs sorted by name."""

_SWAPPED_NAMES: Final = {"model_a": "model_b", "model_b": "model_a"}


@lru_cache(maxsize=4096)  # so that swapped comparisons share equal tags, as those of a file do
def _swap_tags(tags: Tags) -> Tags:
    return tuple(sorted((_SWAPPED_NAMES.get(name, name), value) for name, value in tags))


def _check_turn_tuples(*sides: object) -> None:
    """Reject a plain string, which would count as a sequence of one-character turns."""
    if any(isinstance(side, str) for side in sides):
        raise ValueError("prompt and answers are tuples of turns: write ('text',) for a single turn")


def _check_system(system: str, prompt: tuple[str, ...]) -> None:
    if system and not prompt[0].startswith(f"{system}\n\n"):
        raise ValueError("the first prompt turn must begin with the system message and a blank line, or leave system")


def _user_turns(system: str, prompt: tuple[str, ...]) -> tuple[str, ...]:
    return (prompt[0][len(system) + 2 :], *prompt[1:]) if system else prompt


def join_system(system: str, turn: str) -> str:
    """A system message in front of a user turn, separated by a blank line."""
    return f"{system}\n\n{turn}" if system else turn


def _map_prompt(change: Callable[[str], str], system: str, prompt: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """System message and prompt with every text changed."""
    first, *later = map(change, _user_turns(system, prompt))
    system = change(system) if system else ""
    return system, (join_system(system, first), *later)


def _closing_system(system: str, prompt: tuple[str, ...]) -> str:
    """The system message of a prompt whose last turn is new: none if that was the first and was cut."""
    return system if prompt[0].startswith(f"{system}\n\n") else ""


def _clean_turns(turns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(clean_text, turns))


def _clean_prompt(row: Conversation | Comparison) -> None:
    """Clean a row's prompt and system message separately, so that the prompt still begins with the system message."""
    system, prompt = _map_prompt(clean_text, row.system, row.prompt)
    object.__setattr__(row, "system", system)
    object.__setattr__(row, "prompt", prompt)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The user's turns and the replies of one side: the unit that a reward model scores.

    `system` is the system message, if there is one; `prompt[0]` begins with it and a blank line. All texts are cleaned
    by `tiebreak.unicode.clean_text`.

    Raises:
        ValueError: prompt and answer differ in their number of turns, or have none; `prompt[0]` does not begin with the
            system message.
    """

    prompt: tuple[str, ...]
    answer: tuple[str, ...]
    system: str = ""

    def __post_init__(self) -> None:
        _check_turn_tuples(self.prompt, self.answer)
        if len(self.prompt) != len(self.answer) or not self.prompt:
            raise ValueError(
                "a conversation needs as many answers as prompts, and at least one: "
                f"got {len(self.prompt)} prompts and {len(self.answer)} answers"
            )
        _check_system(self.system, self.prompt)
        _clean_prompt(self)
        object.__setattr__(self, "answer", _clean_turns(self.answer))

    @property
    def user_turns(self) -> tuple[str, ...]:
        """The prompt without the system message."""
        return _user_turns(self.system, self.prompt)

    def without_system(self) -> Conversation:
        """The same conversation without its system message."""
        return Conversation(self.user_turns, self.answer)

    @property
    def orders(self) -> tuple[Conversation]:
        """The orders to read it in: only one."""
        return (self,)

    @property
    def closing(self) -> tuple[str, str]:
        """The last prompt and the reply to it."""
        return self.prompt[-1], self.answer[-1]

    def close_with(self, prompt: str, answer: str) -> Conversation:
        """The same conversation with another last turn."""
        turns = (*self.prompt[:-1], prompt)
        return Conversation(turns, (*self.answer[:-1], answer), _closing_system(self.system, turns))

    def map_texts(self, change: Callable[[str], str]) -> Conversation:
        """The same conversation with every text changed."""
        system, prompt = _map_prompt(change, self.system, self.prompt)
        return Conversation(prompt, tuple(map(change, self.answer)), system)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A conversation with two candidate answers, and the vote on them if there is one.

    `prompt[i]` is the user's turn i; `answer_a[i]` and `answer_b[i]` are the two replies to it, so all three have the
    same length of at least one. If both sides share their history (one conversation with two candidate last replies),
    the early turns of `answer_a` and `answer_b` are equal.

    `margin` is by how much the preferred answer is better, in nats of reward, if votes are graded, else 0. `tags`
    define the slices of an evaluation: `source`, `language`, and the models that answered, `model_a` and `model_b`.
    `system` is the system message, if there is one; `prompt[0]` begins with it and a blank line. All texts are cleaned
    by `tiebreak.unicode.clean_text`, so that every judge reads the same text from a file, Python and HTTP.

    Raises:
        ValueError: prompt and answers differ in their number of turns, or have none; the margin is negative or not
            finite; `prompt[0]` does not begin with the system message.
    """

    prompt: tuple[str, ...]
    answer_a: tuple[str, ...]
    answer_b: tuple[str, ...]
    vote: Vote | None = None
    id: str = ""
    margin: float = 0.0
    tags: Tags = ()
    system: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_turn_tuples(self.prompt, self.answer_a, self.answer_b)
        turns = len(self.prompt), len(self.answer_a), len(self.answer_b)
        if len(set(turns)) != 1 or not turns[0]:
            raise ValueError(
                "a comparison needs as many answers on each side as prompts, and at least one: "
                f"got {turns[0]} prompts, {turns[1]} answers of A and {turns[2]} of B"
            )
        if not (isfinite(self.margin) and self.margin >= 0):
            raise ValueError(f"the margin of a comparison is a finite number of at least 0: got {self.margin}")
        _check_system(self.system, self.prompt)
        _clean_prompt(self)
        object.__setattr__(self, "answer_a", _clean_turns(self.answer_a))
        object.__setattr__(self, "answer_b", _clean_turns(self.answer_b))

    @property
    def user_turns(self) -> tuple[str, ...]:
        """The prompt without the system message."""
        return _user_turns(self.system, self.prompt)

    def without_system(self) -> Comparison:
        """The same comparison without its system message."""
        return replace(self, prompt=self.user_turns, system="")

    def required_vote(self) -> Vote:
        """The vote.

        Raises:
            ValueError: there is none.
        """
        if self.vote is None:
            raise ValueError(f"comparison {self.id!r} has no vote: give one")
        return self.vote

    def swap(self) -> Comparison:
        """The same comparison with A and B exchanged: answers, vote and models."""
        vote = None if self.vote is None else swap_vote(self.vote)
        tags = _swap_tags(self.tags) if self.tags else ()
        return replace(self, answer_a=self.answer_b, answer_b=self.answer_a, vote=vote, tags=tags)

    @property
    def folded_prompt(self) -> str:
        """The first prompt turn, folded by `fold_prompt`. Comparisons that share it are not independent."""
        return fold_prompt(self.prompt[0])

    @property
    def conversations(self) -> tuple[Conversation, Conversation]:
        """The sides of A and B."""
        return (
            Conversation(self.prompt, self.answer_a, self.system),
            Conversation(self.prompt, self.answer_b, self.system),
        )

    @property
    def orders(self) -> tuple[Comparison, Comparison]:
        """The orders to read it in: A first, and B first."""
        return self, self.swap()

    @property
    def closing(self) -> tuple[str, str, str]:
        """The last prompt and the two replies to it."""
        return self.prompt[-1], self.answer_a[-1], self.answer_b[-1]

    def close_with(self, prompt: str, answer_a: str, answer_b: str) -> Comparison:
        """The same comparison with another last turn."""
        turns = (*self.prompt[:-1], prompt)
        return replace(
            self,
            prompt=turns,
            answer_a=(*self.answer_a[:-1], answer_a),
            answer_b=(*self.answer_b[:-1], answer_b),
            system=_closing_system(self.system, turns),
        )

    def map_texts(self, change: Callable[[str], str]) -> Comparison:
        """The same comparison with every text changed."""
        system, prompt = _map_prompt(change, self.system, self.prompt)
        a, b = (tuple(map(change, texts)) for texts in (self.answer_a, self.answer_b))
        return replace(self, prompt=prompt, answer_a=a, answer_b=b, system=system)
