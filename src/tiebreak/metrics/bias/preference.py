"""Whom the judge prefers and whom people do: what the biases of length and format are told by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.metrics.bootstrap import Bootstrap, Estimate
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Estimates:
    """Dataclasses that become JSON field by field."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(of) for name, of in value.items()}
    if isinstance(value, tuple):
        return [_plain(of) for of in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


@dataclass(frozen=True, slots=True)
class Preference(Estimates):
    """Whom the judge prefers and whom people do, on the same rows: win rates, ties half."""

    rows: int
    judge: Estimate
    people: Estimate
    excess: Estimate
    """The judge's less the people's; 0 without bias, whatever people like."""


def answer_texts(comparison: Comparison) -> tuple[list[str], list[str]]:
    """The replies of either side, without those that both begin with."""
    replies = list(zip(comparison.answer_a, comparison.answer_b, strict=True))
    shared = next((i for i, (a, b) in enumerate(replies) if a != b), 0)
    return [a for a, _ in replies[shared:]], [b for _, b in replies[shared:]]


def validate_amounts(of_a: ArrayLike, of_b: ArrayLike, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much each side has of something, [rows] each.

    Raises:
        ComparisonsError: not one number a row and side, or one that is negative or not finite.
    """
    a, b = np.asarray(of_a, dtype=np.float64), np.asarray(of_b, dtype=np.float64)
    if a.shape != (rows,) or b.shape != (rows,):
        raise ComparisonsError(f"Lengths of shape {a.shape} and {b.shape} do not go with {rows:,} rows: give one each.")
    wrong = ~(np.isfinite(a) & np.isfinite(b)) | (a < 0) | (b < 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ComparisonsError(
            f"{int(wrong.sum())} rows have an impossible length, the first is row {row} with {a[row]} and {b[row]}: "
            "give finite numbers of at least 0."
        )
    return a, b


def win_rate(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """A's: a win counts 1, a tie half."""
    rate: NDArray[np.float64] = p[:, 0] + p[:, 2] / 2
    return rate


def oriented_rates(rates: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.float64]:
    """Win rates [rows, 2] of A as those of the side that has more, 1 for A and -1 for B."""
    return 0.5 + side[:, None] * (rates - 0.5)


def preference_of(rates: NDArray[np.float64], side: NDArray[np.float64], bootstrap: Bootstrap) -> Preference:
    """The judge's and the people's win rates of the side that has more; rows where neither has do not count."""
    unequal = (side != 0).astype(np.float64)[:, None]
    turned = oriented_rates(rates, side) * unequal
    judge, people, excess = bootstrap.ratios(
        np.concatenate([turned, turned[:, :1] - turned[:, 1:]], axis=1),
        np.repeat(unequal, 3, axis=1),
        bounds=([0, 0, -1], 1),
    )
    return Preference(int(unequal.sum()), judge, people, excess)
