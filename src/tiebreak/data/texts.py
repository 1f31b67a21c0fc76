"""The last look at a row's three texts: repaired where they are no text, and empty or huge ones named."""

from __future__ import annotations

from typing import Final

from tiebreak.data.cells import is_blank
from tiebreak.data.row_report import RowReport
from tiebreak.data.utf8 import repair

Turns = tuple[str, ...]

_HUGE: Final = 1_000_000


def repaired(columns: tuple[str, str, str], texts: tuple[Turns, Turns, Turns], report: RowReport) -> list[Turns]:
    """Prompt, answer and answer without lone surrogates and NUL; says which were repaired, empty or huge.

    An answer counts as empty when all its turns are, those aside that both answers begin with.
    """
    clean = [_repaired(column, turns, report) for column, turns in zip(columns, texts, strict=True)]
    shared = _shared(clean[1], clean[2])
    for column, turns, history in zip(columns, clean, (0, shared, shared), strict=True):
        if all(map(is_blank, turns[history:])):
            report.add(column, "empty_prompt" if column == columns[0] else "empty_answer", "is empty")
        elif any(map(is_blank, turns)):
            blank = ", ".join(str(number) for number, turn in enumerate(turns, start=1) if is_blank(turn))
            report.add(column, "empty_turn", f"has no text in turn {blank} of {len(turns)}")
    return clean


def _repaired(column: str, turns: Turns, report: RowReport) -> Turns:
    pairs = [repair(turn) for turn in turns]
    if count := sum(bad for _, bad in pairs):
        report.add(column, "repaired_text", f"had {count} lone surrogates or NUL characters, now U+FFFD")
    if (length := sum(map(len, turns))) > _HUGE:
        report.add(column, "huge_cell", f"is {length:,} characters long")
    return tuple(text for text, _ in pairs)


def _shared(answer_a: Turns, answer_b: Turns) -> int:
    """How many turns both answers begin with; 0 if they are the same to the end."""
    pairs = enumerate(zip(answer_a, answer_b, strict=True))
    return next((turn for turn, (reply_a, reply_b) in pairs if reply_a != reply_b), 0)
