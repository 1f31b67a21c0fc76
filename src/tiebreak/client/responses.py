"""What a server says, as the values a judge says it with; fields that are not known are not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tiebreak.judges.answer_order import swap_verdict
from tiebreak.judges.verdicts import Ranking, Score, Verdict


@dataclass(frozen=True, slots=True)
class ServedLimits:
    """What a server takes."""

    body_bytes: int
    texts: int
    """Texts a request may have read."""
    tokens: int | None
    """Tokens of a text that the judge reads; None where it counts none."""
    queue: int
    """Texts that may wait."""
    seconds: float
    """After which a request is given up."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What is served."""

    name: str
    tiebreak: str
    """The server's version."""
    kind: str
    """`pairwise`, `pointwise`, `classical` or `blend`."""
    gives_rewards: bool
    base_model: str | None
    calibration: str | None
    """The map that probabilities go through."""
    metrics: dict[str, Any] | None
    recipe: dict[str, Any] | None
    limits: ServedLimits


def model_of(answer: Any) -> ServedModel:
    """What `GET /v1/model` says.

    Raises:
        KeyError, TypeError: it says something else, as may all of these.
    """
    limits = {name: answer["limits"][name] for name in ServedLimits.__slots__}
    known = {name: answer[name] for name in ServedModel.__slots__ if name != "limits"}
    return ServedModel(**known, limits=ServedLimits(**limits))


def verdict_of(answer: Any) -> Verdict:
    """A verdict of `POST /v1/compare/batch`: the mean, where both orders were judged."""
    return _verdict(answer, answer["probabilities"])


def orders_of(answer: Any) -> tuple[Verdict, Verdict]:
    """What either order gave, both told as given; of tokens the first's."""
    both = answer["orders"]
    return _verdict(answer, both["as_given"]), _verdict(answer, both["swapped"])


def swapped_verdict_of(answer: Any) -> Verdict:
    """A verdict on answers that were sent with A and B exchanged."""
    return swap_verdict(verdict_of(answer))


def score_of(answer: Any) -> Score:
    """A score of `POST /v1/score/batch`."""
    return Score(answer["reward"], answer["normalised"], answer["tokens_lost"], answer["tokens_read"])


def ranking_of(answer: Any) -> Ranking:
    """What `POST /v1/rank` says, in the order of the answers."""
    places = sorted(answer["ranking"], key=lambda place: int(place["index"]))
    normalised = tuple(place["normalised"] for place in places)
    return Ranking(
        tuple(place["reward"] for place in places),
        tuple(place["rank"] for place in places),
        answer["comparisons"],
        answer["tokens_lost"],
        None if None in normalised else normalised,
    )


def _verdict(answer: Any, probabilities: Any) -> Verdict:
    rewards = answer["rewards"]
    return Verdict(
        probabilities["model_a"], probabilities["model_b"], probabilities["tie"],
        answer["tokens_lost"], answer["tokens_read"], None if rewards is None else (rewards[0], rewards[1]),
    )  # fmt: skip
