"""Read cells of votes, margins and weights."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from tiebreak.data.cells import decode_cell, is_blank
from tiebreak.data.issues import Kind, UnreadableError, short_repr
from tiebreak.data.layouts.columns import MARGIN_COLUMN, WEIGHT_COLUMN, WINNER_COLUMNS
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, TIE, Vote

ALL_WINNER_COLUMNS: Final = "winner_*"
"""The column that problems with the three columns of votes together are reported under."""

_SUM_TOLERANCE: Final = 1e-3
_ONE_HOT: Final[dict[tuple[float, ...], Vote]] = {vote: vote for vote in (A_WINS, B_WINS, TIE)}
_BOTH_BAD: Final = ("tie (bothbad)", "tie (both bad)", "tie_bothbad", "both_bad", "both bad", "bothbad")
_VOTES_BY_WINNER: Final[dict[str, Vote]] = {
    **dict.fromkeys(("model_a", "response_a", "answer_a", "a", "1", "left"), A_WINS),
    **dict.fromkeys(("model_b", "response_b", "answer_b", "b", "2", "right"), B_WINS),
    **dict.fromkeys(("tie", "draw", *_BOTH_BAD), TIE),
}
BOTH_BAD_TAG: Final = "tie_kind"
"""The tag of a tie because both answers are bad."""


def parse_winner_columns(model_a: object, model_b: object, tie: object) -> Vote | None:
    """The vote in the three `winner_*` columns; None if all three are empty.

    One 1 and two 0 are the vote of one person. Other values are probabilities: they have to sum to 1 within 0.001, and
    are divided by their sum.

    Raises:
        UnreadableError: they are neither.
    """
    cells = (model_a, model_b, tie)
    if all(map(is_blank, cells)):
        return None
    values = tuple(map(_probability, cells))
    if values in _ONE_HOT:
        return _ONE_HOT[values]
    columns = list(zip(WINNER_COLUMNS, cells, values, strict=True))
    invalid = [f"{column} is {short_repr(cell)}" for column, cell, value in columns if not 0 <= value <= 1]
    if invalid:
        message = f"{', '.join(invalid)}: expected 0, 1 or between"
        raise UnreadableError(ALL_WINNER_COLUMNS, "not_a_probability", message)
    if set(values) == {0.0}:
        raise UnreadableError(ALL_WINNER_COLUMNS, "no_winner", "no winner: all three are 0")
    if set(values) <= {0.0, 1.0}:
        winners = " and ".join(column for column, _, value in columns if value)
        raise UnreadableError(ALL_WINNER_COLUMNS, "several_winners", f"several winners: {winners} are 1")
    total = math.fsum(values)
    if abs(total - 1) > _SUM_TOLERANCE:
        raise UnreadableError(ALL_WINNER_COLUMNS, "bad_sum", f"the probabilities sum to {total:.6g}, not 1")
    return (values[0] / total, values[1] / total, values[2] / total)


def parse_winner(cell: object, models: tuple[object, object] = (None, None)) -> Vote | None:
    """The vote in a column `winner`; None if it is empty.

    Args:
        cell: a known winner, or the name of the model whose answer is better.
        models: the names of the models that gave response_a and response_b, if they are known.

    Raises:
        UnreadableError: the cell is neither, or is both and the two differ.
        DataError: the cell is 0. Then 1 may mean the second answer, and no row of the file is understood.
    """
    if is_blank(cell):
        return None
    name = winner_name(cell)
    if name == "0":
        raise DataError(
            "winner is 0 in a row: it is not clear which answers 0 and 1 stand for. Name every value: --map "
            "winner.0=model_a --map winner.1=model_b and, if there are ties, --map winner.2=tie; in a recipe with "
            "data.columns. Without that, 1 is response_a and 2 response_b."
        )
    vote = _VOTES_BY_WINNER.get(name.casefold())
    named = [side for side, model in zip((A_WINS, B_WINS), models, strict=True) if name and winner_name(model) == name]
    if vote is None and len(named) == 1:
        return named[0]
    if vote is None:
        expected = "expected model_a, model_b or tie; A and B; 1 and 2; left and right"
        if not any(map(is_blank, models)):
            expected += f"; or one of the models, {short_repr(models[0])} and {short_repr(models[1])}"
        raise UnreadableError("winner", "unknown_winner", f"is {short_repr(cell)}: {expected}")
    if named and named != [vote]:
        message = f"is {short_repr(cell)}, another outcome and the name of a model: write model_a, model_b or tie"
        raise UnreadableError("winner", "unknown_winner", message)
    return vote


def winner_name(cell: object) -> str:
    """A winner as text; empty if it is neither text nor a whole number. Both `1.0` and 1 are 1.

    A column of whole numbers with a gap is one of floats, in memory and in the CSV files that pandas writes.
    """
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    name = cell.strip() if isinstance(cell, str) else ""
    return name.removesuffix(".0") if name.removesuffix(".0").isdecimal() else name


def is_both_bad(cell: object) -> bool:
    """Whether a column `winner` says that the answers tie because both are bad."""
    return isinstance(cell, str) and cell.strip().casefold() in _BOTH_BAD


def parse_margin(cell: object, vote: Vote | None) -> float:
    """The margin in a cell; 0 if the cell is empty or there is no vote.

    Raises:
        UnreadableError: the margin is not a finite number of at least 0, or is above 0 for a vote that prefers neither
            answer.
    """
    cell = decode_cell(MARGIN_COLUMN, cell)
    margin = _amount(MARGIN_COLUMN, "not_a_margin", cell)
    if margin is None or vote is None:
        return 0.0
    a, b, _ = vote
    if margin and a == b:
        message = (
            f"is {short_repr(cell)}, but the vote is a tie, in which no answer is better: give 0, or an empty cell"
        )
        raise UnreadableError(MARGIN_COLUMN, "margin_of_tie", message)
    return margin


def parse_weight(cell: object) -> float:
    """The weight in a cell; 1 if the cell is empty.

    Raises:
        UnreadableError: the weight is not a finite number of at least 0.
    """
    weight = _amount(WEIGHT_COLUMN, "not_a_weight", decode_cell(WEIGHT_COLUMN, cell))
    return 1.0 if weight is None else weight


def _amount(column: str, kind: Kind, cell: object) -> float | None:
    """The finite number of at least 0 in a cell; None if it is empty."""
    if is_blank(cell):
        return None
    amount = math.nan if isinstance(cell, bool) else _number(cell)
    if not 0 <= amount < math.inf:
        expected = "expected a finite number of at least 0, or an empty cell"
        raise UnreadableError(column, kind, f"is {short_repr(cell)}: {expected}")
    return amount


def _probability(cell: object) -> float:
    """The number in a cell, with true as 1 and false as 0; NaN if there is none."""
    boolean = {"true": 1.0, "false": 0.0}.get(cell.strip().casefold()) if isinstance(cell, str) else None
    return _number(cell) if boolean is None else boolean


def _number(cell: object) -> float:
    """The number in a cell; NaN if there is none."""
    if not isinstance(cell, str | int | float | Decimal):
        return math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan
