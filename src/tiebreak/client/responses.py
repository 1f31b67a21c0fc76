"""What the server answers, as the types of `tiebreak.judges`. Unknown fields are ignored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tiebreak.client.transport import unexpected_answer
from tiebreak.judges.answer_order import swap_verdict
from tiebreak.judges.verdicts import Ranking, Score, Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServedLimits:
    """Limits of a server."""

    body_bytes: int
    texts: int
    """Texts that the judge may read for one request."""
    tokens: int | None
    """The longest text that the judge reads, in tokens; None if it does not count tokens."""
    queue: int
    """Texts that may be queued."""
    seconds: float
    """Time limit of a request."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A judge that is served."""

    name: str
    tiebreak: str
    """The server's version."""
    kind: str
    """`pairwise`, `pointwise`, `classical` or `blend`."""
    gives_rewards: bool
    base_model: str | None
    calibration: str | None
    """The calibration map of its probabilities."""
    metrics: dict[str, Any] | None
    recipe: dict[str, Any] | None
    limits: ServedLimits
    verdict: dict[str, Any] | None = None
    """Whether it is better than guessing and than baselines; None if that is not known, as from older servers."""


def parse_answer(parse: Callable[[Any], T], answer: Any, url: str) -> T:
    """An answer's JSON, parsed by one of the functions below.

    Raises:
        ServerError: it does not have the expected fields.
    """
    try:
        return parse(answer)
    except (KeyError, TypeError, ValueError) as error:
        raise unexpected_answer(url, f"{type(error).__name__}: {error}") from error


def parse_model(answer: Any) -> ServedModel:
    """`GET /v1/model`.

    Raises:
        KeyError, TypeError: a field is missing, here and in the functions below.
    """
    limits = {name: answer["limits"][name] for name in ServedLimits.__slots__}
    fields = {name: answer[name] for name in ServedModel.__slots__ if name not in ("limits", "verdict")}
    return ServedModel(**fields, limits=ServedLimits(**limits), verdict=answer.get("verdict"))


def parse_verdict(answer: Any) -> Verdict:
    """A verdict of `POST /v1/compare/batch`; the mean if both orders were judged."""
    return _verdict(answer, answer["probabilities"])


def parse_orders(answer: Any) -> tuple[Verdict, Verdict]:
    """The verdicts of both orders, with A as in the comparison; tokens are those of the first order."""
    orders = answer["orders"]
    return _verdict(answer, orders["as_given"]), _verdict(answer, orders["swapped"])


def parse_swapped_verdict(answer: Any) -> Verdict:
    """A verdict on a comparison that was sent with A and B exchanged."""
    return swap_verdict(parse_verdict(answer))


def parse_score(answer: Any) -> Score:
    """A score of `POST /v1/score/batch`."""
    return Score(answer["reward"], answer["normalised"], answer["tokens_lost"], answer["tokens_read"])


def parse_ranking(answer: Any) -> Ranking:
    """`POST /v1/rank`, in the order of the answers sent."""
    ranked = sorted(answer["ranking"], key=lambda row: int(row["index"]))
    normalised = tuple(row["normalised"] for row in ranked)
    return Ranking(
        tuple(row["reward"] for row in ranked),
        tuple(row["rank"] for row in ranked),
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
