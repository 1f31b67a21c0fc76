"""Position bias: the effect of the order of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.metrics.bias.preference import Estimates
from tiebreak.metrics.intervals import Estimate, GroupedRows
from tiebreak.metrics.log_loss import log_loss_per_row, losses_by_outcome, right_and_wrong, validate_rows
from tiebreak.types import Vote

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


ORDERS: Final = ("as_given", "swapped", "average")


@dataclass(frozen=True, slots=True)
class PositionBias(Estimates):
    """How much verdicts depend on the order of the answers. See `position_bias`."""

    rows: int
    swap_gap: Estimate
    """Mean of |P(A) when A comes first - P(A) when B comes first|."""
    total_variation: Estimate
    """Mean total variation distance between the verdicts in both orders, from 0 to 1."""
    first_slot_gain: Estimate
    """By how much the win probability of an answer is higher when it comes first, the mean over A and B."""
    agreement: Estimate
    """Share of rows with the same most likely outcome in both orders."""
    flip_rate: Estimate
    """1 - `agreement`."""
    first_slot_wins: Estimate
    """Share of all verdicts (two per row) where a win of the first answer is the most likely outcome."""
    second_slot_wins: Estimate
    first_slot_share: Estimate
    """Share of the verdicts with a winner where the winner comes first; 0.5 without bias."""
    first_twice: Estimate
    """Share of rows where the answer in the first position wins in both orders."""
    second_twice: Estimate
    loss: dict[str, Estimate]
    """Log loss of the orders `as_given` and `swapped`, and of their `average`."""
    accuracy: dict[str, Estimate]


def position_bias(
    as_given: ArrayLike,
    swapped: ArrayLike,
    votes: Sequence[Vote | None],
    groups: Sequence[str] | None = None,
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
) -> PositionBias:
    """Measure how much the verdicts of a judge depend on which answer comes first.

    Args:
        as_given: [rows, 3] over `OUTCOMES`, with A first.
        swapped: [rows, 3] over the same outcomes, with B first: column 0 is again the win of A.
        votes: [rows].
        groups: as in `GroupedRows`.
        weights: as in `GroupedRows`.
        level: as in `GroupedRows`.

    Raises:
        ComparisonsError: as in `evaluate`.
    """
    p, targets = validate_rows(as_given, votes)
    q, _ = validate_rows(swapped, votes)
    grouped = GroupedRows(len(p), groups, level=level, weights=weights)
    shares = _shares(p, q, targets)
    denominators = np.ones((len(p), len(shares)))
    winners = (p.argmax(axis=1) != 2).astype(np.float64) + (q.argmax(axis=1) != 2)
    denominators[:, list(shares).index("first_slot_share")] = winners
    estimates = dict(
        zip(shares, grouped.proportions(np.stack(list(shares.values()), axis=1), denominators), strict=True)
    )
    accuracy = {order: estimates.pop(f"accuracy {order}") for order in ORDERS}
    gain = (p[:, 0] - q[:, 0] + q[:, 1] - p[:, 1]) / 2
    [first_slot_gain] = grouped.means(gain[:, None], bounds=(-1.0, 1.0))
    loss = {name: _log_loss(order, targets, grouped) for name, order in _orders(p, q).items()}
    return PositionBias(len(p), **estimates, first_slot_gain=first_slot_gain, loss=loss, accuracy=accuracy)


def _orders(p: NDArray[np.float64], q: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return dict(zip(ORDERS, (p, q, (p + q) / 2), strict=True))


def _log_loss(p: NDArray[np.float64], targets: NDArray[np.float64], grouped: GroupedRows) -> Estimate:
    rare = grouped.average((right_and_wrong(p, targets) * losses_by_outcome(p)).sum(axis=2), axis=1)
    [loss] = grouped.means(log_loss_per_row(p, targets)[:, None], rare=rare[:, None], bounds=(0.0, np.inf))
    return loss


def _shares(
    p: NDArray[np.float64], q: NDArray[np.float64], targets: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Numerators of the metrics between 0 and 1, [rows] each; p and q are the probabilities as given and swapped."""
    top_p, top_q = p.argmax(axis=1), q.argmax(axis=1)
    first = np.stack([top_p == 0, top_q == 1]).astype(np.float64)
    second = np.stack([top_p == 1, top_q == 0]).astype(np.float64)
    return {
        "swap_gap": np.abs(p[:, 0] - q[:, 0]),
        "total_variation": np.abs(p - q).sum(axis=1) / 2,
        "agreement": top_p == top_q,
        "flip_rate": top_p != top_q,
        "first_slot_wins": first.mean(axis=0),
        "second_slot_wins": second.mean(axis=0),
        "first_slot_share": first.sum(axis=0),
        "first_twice": first.all(axis=0),
        "second_twice": second.all(axis=0),
        **{f"accuracy {name}": o.argmax(axis=1) == targets.argmax(axis=1) for name, o in _orders(p, q).items()},
    }
