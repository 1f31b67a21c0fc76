"""The value everything else is about: a prompt, two answers to it, and perhaps a vote."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Outcome = Literal["model_a", "model_b", "tie"]
OUTCOMES: Final[tuple[Outcome, Outcome, Outcome]] = ("model_a", "model_b", "tie")
"""The order of every vote, logit and probability in Tiebreak (that of Kaggle's `winner_*` columns)."""

Vote = tuple[float, float, float]
"""Probabilities over `OUTCOMES`: one-hot for one person's vote, anything on the simplex for a soft label."""

A_WINS: Final[Vote] = (1.0, 0.0, 0.0)
B_WINS: Final[Vote] = (0.0, 1.0, 0.0)
TIE: Final[Vote] = (0.0, 0.0, 1.0)


def swap_vote(vote: Vote) -> Vote:
    """The same vote with A and B exchanged; a tie stays a tie."""
    a, b, tie = vote
    return (b, a, tie)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A conversation with two candidate answers, and the vote on them if there was one.

    `prompt[i]` is what the user said in turn i; `answer_a[i]` and `answer_b[i]` are the two replies to it, so
    all three have the same length of at least one. Where both sides share their history (one conversation, two
    candidate last replies), the early turns of `answer_a` and `answer_b` are equal.

    Raises:
        ValueError: the three differ in their number of turns, or have none.
    """

    prompt: tuple[str, ...]
    answer_a: tuple[str, ...]
    answer_b: tuple[str, ...]
    vote: Vote | None = None
    id: str = ""

    def __post_init__(self) -> None:
        turns = len(self.prompt), len(self.answer_a), len(self.answer_b)
        if len(set(turns)) != 1 or not turns[0]:
            raise ValueError(
                "a comparison needs as many answers on each side as it has prompts, and at least one: "
                f"got {turns[0]} prompts, {turns[1]} answers of A and {turns[2]} of B"
            )

    def swap(self) -> Comparison:
        """The same comparison seen from the other side: answers exchanged, and the vote with them."""
        vote = None if self.vote is None else swap_vote(self.vote)
        return replace(self, answer_a=self.answer_b, answer_b=self.answer_a, vote=vote)
