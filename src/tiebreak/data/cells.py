"""Cells -> turns, votes and margins.

**How turns are told from plain text.** A text cell is *written as turns* when it begins like a JSON list of texts:
`["`, `[null` or `[]`, spaces aside. The prompt decides for its row, because prompts rarely are JSON while answers
to "reply with a JSON list" are:

- The prompt is written as turns: so are those answers that are written as turns; any other answer is plain text, one
  turn. A cell written as turns that is no JSON list of texts and nulls is broken, and reported. (If only the prompt
  is written as turns, and broken, it is a plain text that happens to begin with a bracket.)
- The prompt is plain text: the whole row is.
- The prompt is empty: the row is turns if every answer that is not empty is written as turns.

Lists that are no text (JSON lines, Parquet) are turns always. A null turn is empty text.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

from tiebreak.data.issues import Kind, UnreadableError, shown
from tiebreak.data.json_reader import parse_json
from tiebreak.data.layouts import MARGIN, WINNERS
from tiebreak.data.utf8 import decode, undecodable
from tiebreak.types import A_WINS, B_WINS, TIE, Vote

WINNER_COLUMNS: Final = "winner_*"
"""What problems with the three columns of votes together are filed under."""

_WRITTEN_AS_TURNS: Final = re.compile(r'\s*\[\s*(?:"|null\b|\])')
_SUM_TOLERANCE: Final = 1e-3
_ONE_HOT: Final[dict[tuple[float, ...], Vote]] = {vote: vote for vote in (A_WINS, B_WINS, TIE)}
_WINNERS_BY_NAME: Final[dict[str, Vote]] = {
    "model_a": A_WINS,
    "model_b": B_WINS,
    "tie": TIE,
    "tie (bothbad)": TIE,
    "tie_bothbad": TIE,
    "both_bad": TIE,
}


def cell_text(column: str, cell: object) -> object:
    """The cell as text where it is bytes, and as None where it is NaN, which is how data frames write null.

    Raises:
        UnreadableError: the bytes are not UTF-8.
    """
    try:
        if isinstance(cell, UnicodeDecodeError):
            raise cell
        if isinstance(cell, float) and math.isnan(cell):
            return None
        return decode(cell) if isinstance(cell, bytes) else cell
    except UnicodeDecodeError as error:
        message = f"holds bytes that are not UTF-8: {undecodable(error)}"
        raise UnreadableError(column, "undecodable", message) from None


def is_blank(cell: object) -> bool:
    """Whether a cell holds nothing: null, or no visible character."""
    return cell is None or (isinstance(cell, str) and (not cell or cell.isspace()))


def looks_like_turns(cell: object) -> bool:
    """Whether a cell is a list, or a text that begins like a JSON list of texts."""
    return isinstance(cell, list) or (isinstance(cell, str) and _WRITTEN_AS_TURNS.match(cell) is not None)


PRINTED_BY_PYTHON: Final = "looks like a list that Python printed: read as plain text. If it holds turns, write JSON"


def looks_like_python_repr(cell: object) -> bool:
    """Whether a cell is a text like `['a', 'b']` or `[{'role': ...}]`, which is no JSON."""
    text = cell.strip() if isinstance(cell, str) else ""
    return text.startswith(("['", "[{'")) and text.endswith("]")


def row_holds_turns(prompt: object, answer_a: object, answer_b: object) -> bool:
    """Whether texts written as turns are turns in this row (see the top of this module)."""
    answers = [looks_like_turns(answer) for answer in (answer_a, answer_b) if not is_blank(answer)]
    if is_blank(prompt):
        return bool(answers) and all(answers)
    if not looks_like_turns(prompt):
        return False
    return any(answers) or isinstance(prompt, list) or _is_turns(prompt)


def parse_turns(column: str, cell: object, row_of_turns: bool) -> tuple[str, ...]:
    """The turns in a cell that is not null.

    Raises:
        UnreadableError: it is written as turns but broken, or is no text.
    """
    turns = cell
    if isinstance(cell, str):
        if not (row_of_turns and looks_like_turns(cell)):
            return (cell,)
        try:
            turns = parse_json(cell)
        except ValueError as error:
            raise UnreadableError(column, "broken_json", f"is not a JSON list of turns: {error}") from None
    if not isinstance(turns, list):
        raise UnreadableError(column, "not_text", f"is {shown(turns)}, neither text nor a list of turns")
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, str | None):
            kind: Kind = "broken_json" if isinstance(cell, str) else "not_text"
            raise UnreadableError(column, kind, f"has {shown(turn)} in place of text as turn {number}")
    return tuple(turn or "" for turn in turns)


def parse_winner_columns(model_a: object, model_b: object, tie: object) -> Vote | None:
    """The vote in the three `winner_*` columns; None if all three are empty.

    One 1 and two 0 are a person's vote. Anything else has to be probabilities that sum to 1 within 0.001; they are
    divided by their sum.

    Raises:
        UnreadableError: they are neither.
    """
    cells = (model_a, model_b, tie)
    if all(map(is_blank, cells)):
        return None
    votes = tuple(map(_share, cells))
    if votes in _ONE_HOT:
        return _ONE_HOT[votes]
    wrong = [
        f"{name} is {shown(cell)}" for name, cell, vote in zip(WINNERS, cells, votes, strict=True) if not 0 <= vote <= 1
    ]
    if wrong:
        raise UnreadableError(WINNER_COLUMNS, "not_a_probability", f"{', '.join(wrong)}: expected 0, 1 or between")
    if set(votes) == {0.0}:
        raise UnreadableError(WINNER_COLUMNS, "no_winner", "no winner: all three are 0")
    if set(votes) <= {0.0, 1.0}:
        named = [name for name, vote in zip(WINNERS, votes, strict=True) if vote]
        raise UnreadableError(WINNER_COLUMNS, "several_winners", f"several winners: {' and '.join(named)} are 1")
    total = math.fsum(votes)
    if abs(total - 1) > _SUM_TOLERANCE:
        raise UnreadableError(WINNER_COLUMNS, "bad_sum", f"the probabilities sum to {total:.6g}, not 1")
    return (votes[0] / total, votes[1] / total, votes[2] / total)


def parse_winner(cell: object) -> Vote | None:
    """The vote in a column `winner`; None if it is empty.

    Raises:
        UnreadableError: it names no known winner.
    """
    if is_blank(cell):
        return None
    vote = _WINNERS_BY_NAME.get(cell.strip().casefold()) if isinstance(cell, str) else None
    if vote is None:
        raise UnreadableError("winner", "unknown_winner", f"is {shown(cell)}: expected model_a, model_b or tie")
    return vote


def parse_margin(cell: object, vote: Vote | None) -> float:
    """By how much the preferred answer is better; 0 if the cell is empty, or if there is no vote to be graded.

    Raises:
        UnreadableError: it is no finite number of at least 0, or the vote prefers neither answer and it is not 0.
    """
    cell = cell_text(MARGIN, cell)
    if is_blank(cell):
        return 0.0
    margin = math.nan if isinstance(cell, bool) else _number(cell)
    if not 0 <= margin < math.inf:
        expected = "expected a finite number of at least 0, or an empty cell"
        raise UnreadableError(MARGIN, "not_a_margin", f"is {shown(cell)}: {expected}")
    if vote is None:
        return 0.0
    a, b, _ = vote
    if margin and a == b:
        message = f"is {shown(cell)}, but the vote is a tie, in which no answer is better: give 0, or an empty cell"
        raise UnreadableError(MARGIN, "margin_of_tie", message)
    return margin


def _is_turns(cell: object) -> bool:
    try:
        parse_turns("", cell, row_of_turns=True)
    except UnreadableError:
        return False
    return True


def _share(cell: object) -> float:
    """The probability in a cell, true being 1 and false 0; NaN if there is none."""
    named = {"true": 1.0, "false": 0.0}.get(cell.strip().casefold()) if isinstance(cell, str) else None
    return _number(cell) if named is None else named


def _number(cell: object) -> float:
    """The number in a cell; NaN if there is none."""
    if not isinstance(cell, str | int | float | Decimal):
        return math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan
