"""The central values: a comparison of two answers to a prompt, with its vote, and one side of it, a conversation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import Final, Literal

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


@dataclass(frozen=True, slots=True)
class Conversation:
    """The user's turns and the replies of one side: the unit that a reward model scores.

    Raises:
        ValueError: prompt and answer differ in their number of turns, or have none.
    """

    prompt: tuple[str, ...]
    answer: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_turn_tuples(self.prompt, self.answer)
        if len(self.prompt) != len(self.answer) or not self.prompt:
            raise ValueError(
                "a conversation needs as many answers as prompts, and at least one: "
                f"got {len(self.prompt)} prompts and {len(self.answer)} answers"
            )

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
        return Conversation((*self.prompt[:-1], prompt), (*self.answer[:-1], answer))

    def map_texts(self, change: Callable[[str], str]) -> Conversation:
        """The same conversation with every text changed."""
        return Conversation(tuple(map(change, self.prompt)), tuple(map(change, self.answer)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A conversation with two candidate answers, and the vote on them if there is one.

    `prompt[i]` is the user's turn i; `answer_a[i]` and `answer_b[i]` are the two replies to it, so all three have the
    same length of at least one. If both sides share their history (one conversation with two candidate last replies),
    the early turns of `answer_a` and `answer_b` are equal.

    `margin` is by how much the preferred answer is better, in nats of reward, if votes are graded, else 0. `tags`
    define the slices of an evaluation: `source`, `language`, and the models that answered, `model_a` and `model_b`.

    Raises:
        ValueError: prompt and answers differ in their number of turns, or have none; the margin is negative or not
            finite.
    """

    prompt: tuple[str, ...]
    answer_a: tuple[str, ...]
    answer_b: tuple[str, ...]
    vote: Vote | None = None
    id: str = ""
    margin: float = 0.0
    tags: Tags = ()

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
        """The first prompt turn without case and extra white space. Comparisons that share it are not independent."""
        return fold_prompt(self.prompt[0])

    @property
    def conversations(self) -> tuple[Conversation, Conversation]:
        """The sides of A and B."""
        return Conversation(self.prompt, self.answer_a), Conversation(self.prompt, self.answer_b)

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
        return replace(
            self,
            prompt=(*self.prompt[:-1], prompt),
            answer_a=(*self.answer_a[:-1], answer_a),
            answer_b=(*self.answer_b[:-1], answer_b),
        )

    def map_texts(self, change: Callable[[str], str]) -> Comparison:
        """The same comparison with every text changed."""
        prompt, a, b = (tuple(map(change, texts)) for texts in (self.prompt, self.answer_a, self.answer_b))
        return replace(self, prompt=prompt, answer_a=a, answer_b=b)


def fold_prompt(prompt: str) -> str:
    """A prompt without case and extra white space."""
    return " ".join(prompt.casefold().split())
