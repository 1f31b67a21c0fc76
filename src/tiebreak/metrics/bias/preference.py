"""Win rates of one kind of answer, by the judge and by the votes. Length and format bias are measured with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tiebreak.errors import ComparisonsError
from tiebreak.metrics.intervals import Estimate, GroupedRows, divide
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Estimates:
    """Base of dataclasses whose fields become JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {field.name: _to_json(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


@dataclass(frozen=True, slots=True)
class Preference(Estimates):
    """Win rates of one kind of answer on the same rows; a tie counts half."""

    rows: int
    judge: Estimate
    """By the probabilities of the judge."""
    people: Estimate
    """By the votes."""
    excess: Estimate
    """`judge` minus `people`: 0 if the judge has the same preference as the voters."""


def answer_texts(comparison: Comparison) -> tuple[list[str], list[str]]:
    """The replies of A and of B, without those at the start that are equal."""
    replies = list(zip(comparison.answer_a, comparison.answer_b, strict=True))
    shared = next((i for i, (a, b) in enumerate(replies) if a != b), 0)
    return [a for a, _ in replies[shared:]], [b for _, b in replies[shared:]]


def validate_amounts(
    name: str, amounts_a: ArrayLike, amounts_b: ArrayLike, rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lengths or counts of A and of B as float64, [rows] each.

    Raises:
        ComparisonsError: there is not one number per row, or a number is negative or not finite.
    """
    a, b = np.asarray(amounts_a, dtype=np.float64), np.asarray(amounts_b, dtype=np.float64)
    if a.shape != (rows,) or b.shape != (rows,):
        raise ComparisonsError(
            f"{name} of A and B have the shapes {a.shape} and {b.shape} for {rows:,} rows: give one number per row."
        )
    invalid = ~(np.isfinite(a) & np.isfinite(b)) | (a < 0) | (b < 0)
    if invalid.any():
        row = int(np.flatnonzero(invalid)[0])
        raise ComparisonsError(
            f"{int(invalid.sum())} rows of {name} are negative or not finite. The first is row {row}: {a[row]} and "
            f"{b[row]}. Give finite numbers of at least 0."
        )
    return a, b


def win_rate(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The win rate of A, [rows]; a tie counts half."""
    rate: NDArray[np.float64] = p[:, 0] + p[:, 2] / 2
    return rate


def oriented_rates(rates: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.float64]:
    """Win rates [rows, 2] of A turned into those of the answer that `side` [rows] names: 1 for A, -1 for B."""
    return 0.5 + side[:, None] * (rates - 0.5)


def preference_of(rates: NDArray[np.float64], side: NDArray[np.float64], grouped: GroupedRows) -> Preference:
    """Win rates of the answer that `side` [rows] names: 1 for A, -1 for B; rows with 0 are left out.

    Args:
        rates: [rows, 2], win rates of A by the judge and by the votes.
        side: [rows].
        grouped: the same rows.
    """
    unequal = (side != 0).astype(np.float64)[:, None]
    oriented = oriented_rates(rates, side) * unequal
    judge, people = grouped.proportions(oriented, unequal)
    # Votes that differ from a confident judge are few, and a sample without one has next to no variance. The rare
    # values are those of votes that are all against, and all for, the answer that `side` names, and as soft as now.
    decided = divide(grouped.weigh(np.abs(oriented - 0.5 * unequal)).sum(axis=0), grouped.weigh(unequal).sum(axis=0))[1]
    rare = judge.value - 0.5 + decided * np.array([[1.0], [-1.0]])
    [excess] = grouped.means(oriented[:, :1] - oriented[:, 1:], unequal, rare=rare, bounds=(-1.0, 1.0))
    return Preference(int(unequal.sum()), judge, people, excess)
