"""Which answer comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiebreak.metrics.bias.preference import Estimates
from tiebreak.metrics.bootstrap import Bootstrap, Estimate
from tiebreak.metrics.log_loss import log_loss_per_row, validate_rows
from tiebreak.types import Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class PositionBias(Estimates):
    """How much the order of the answers matters. See `position_bias`."""

    rows: int
    swap_gap: Estimate
    """Mean of |P(A) when A comes first - P(A) when B comes first|."""
    total_variation: Estimate
    """Mean total variation distance between the verdicts in both orders, from 0 to 1."""
    first_slot_gain: Estimate
    """By how much an answer's probability of winning is higher when it comes first, A's and B's mean."""
    agreement: Estimate
    """Share of rows with the same likeliest outcome in both orders."""
    flip_rate: Estimate
    """The other rows' share."""
    first_slot_wins: Estimate
    """Of all verdicts, two a row, the share in which the answer that comes first is likeliest to win."""
    second_slot_wins: Estimate
    first_slot_share: Estimate
    """Of the verdicts that name a winner, the share that name the answer that comes first; 0.5 without bias."""
    first_twice: Estimate
    """Share of rows in which the first answer wins in both orders, whichever it is."""
    second_twice: Estimate
    loss: dict[str, Estimate]
    """Log loss `as_given`, `swapped`, and of the `average` of both."""
    accuracy: dict[str, Estimate]


def position_bias(
    as_given: ArrayLike,
    swapped: ArrayLike,
    votes: Sequence[Vote | None],
    groups: Sequence[str] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PositionBias:
    """How much a judge's verdicts depend on which answer comes first.

    Args:
        as_given: [rows, 3] over `OUTCOMES`, with A first.
        swapped: [rows, 3], with B first, over the same outcomes: column 0 is A's win here too.
        votes: [rows].
        groups: as in `Bootstrap`.
        resamples: as in `Bootstrap`.
        seed: as in `Bootstrap`.
        level: as in `Bootstrap`.

    Raises:
        ComparisonsError: as `evaluate`.
    """
    given, target = validate_rows(as_given, votes)
    turned, _ = validate_rows(swapped, votes)
    bootstrap = Bootstrap(len(given), groups, resamples=resamples, seed=seed, level=level)
    best, best_turned = given.argmax(axis=1), turned.argmax(axis=1)
    first = np.stack([best == 0, best_turned == 1]).astype(np.float64)
    second = np.stack([best == 1, best_turned == 0]).astype(np.float64)
    orders = {"as_given": given, "swapped": turned, "average": (given + turned) / 2}
    columns = {
        "swap_gap": np.abs(given[:, 0] - turned[:, 0]),
        "total_variation": np.abs(given - turned).sum(axis=1) / 2,
        "first_slot_gain": (given[:, 0] - turned[:, 0] + turned[:, 1] - given[:, 1]) / 2,
        "agreement": best == best_turned,
        "flip_rate": best != best_turned,
        "first_slot_wins": first.mean(axis=0),
        "second_slot_wins": second.mean(axis=0),
        "first_slot_share": first.sum(axis=0),
        "first_twice": first.all(axis=0),
        "second_twice": second.all(axis=0),
        **{f"loss {name}": log_loss_per_row(p, target) for name, p in orders.items()},
        **{f"accuracy {name}": p.argmax(axis=1) == target.argmax(axis=1) for name, p in orders.items()},
    }
    below = np.ones((len(given), len(columns)))
    below[:, list(columns).index("first_slot_share")] = (first + second).sum(axis=0)
    least = [-1.0 if name == "first_slot_gain" else 0.0 for name in columns]
    most = [np.inf if name.startswith("loss") else 1.0 for name in columns]
    estimates = bootstrap.ratios(np.stack(list(columns.values()), axis=1), below, bounds=(least, most))
    found = dict(zip(columns, estimates, strict=True))
    by_order = {m: {name: found.pop(f"{m} {name}") for name in orders} for m in ("loss", "accuracy")}
    return PositionBias(len(given), **found, loss=by_order["loss"], accuracy=by_order["accuracy"])
