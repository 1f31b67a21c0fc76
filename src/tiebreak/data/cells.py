"""Read cells of text into turns.

**How turns are distinguished from plain text.** A text cell is *written as turns* if it begins like a JSON list of
texts: `["`, `[null` or `[]`, ignoring spaces. The prompt decides for its row, because prompts rarely are JSON while
answers to "reply with a JSON list" are:

- If the prompt is written as turns, answers that are written as turns are turns; any other answer is plain text, one
  turn. A cell written as turns that is not a JSON list of texts and nulls is broken, and reported. (If only the
  prompt is written as turns, and is broken, it is plain text that happens to begin with a bracket.)
- If the prompt is plain text, the whole row is.
- If the prompt is empty, the row holds turns if every answer that is not empty is written as turns.

Real lists (JSON lines, Parquet) are always turns. A null turn is empty text.
"""

from __future__ import annotations

import math
import re
from typing import Final

from tiebreak.data.issues import Kind, RowReport, UnreadableError, short_repr
from tiebreak.data.readers.decoding import decode, describe_decode_error
from tiebreak.data.readers.json_reader import parse_json
from tiebreak.unicode import clean_text, replace_invalid_characters

Turns = tuple[str, ...]

PYTHON_LIST_NOTE: Final = "looks like a list that Python printed: read as plain text. If it holds turns, write JSON"
_WRITTEN_AS_TURNS: Final = re.compile(r'\s*\[\s*(?:"|null\b|\])')
_PRINTED_MESSAGES: Final = re.compile(r"\s*\[\s*\{\s*'(?:role|content|from|value)'\s*:")
PRINTED_MESSAGES: Final = "is a list that Python printed, and not JSON: save the table as Parquet or JSON lines"
_HUGE: Final = 1_000_000
"""Characters from which a text is reported, with a note."""
_SHOWN_TURNS: Final = 20


def decode_cell(column: str, cell: object) -> object:
    """The cell, as text if it is bytes, and as None if it is NaN, which data frames use for null.

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
        message = f"holds bytes that are not UTF-8: {describe_decode_error(error)}"
        raise UnreadableError(column, "undecodable", message) from None


def is_blank(cell: object) -> bool:
    """Whether a cell is null or has no visible character."""
    return cell is None or (isinstance(cell, str) and (not cell or cell.isspace()))


def looks_like_turns(cell: object) -> bool:
    """Whether a cell is a list, or text that begins like a JSON list of texts."""
    return isinstance(cell, list) or (isinstance(cell, str) and _WRITTEN_AS_TURNS.match(cell) is not None)


def looks_like_python_repr(cell: object) -> bool:
    """Whether a cell is text such as `['a', 'b']` or `[{'role': ...}]`, which is not JSON."""
    text = cell.strip() if isinstance(cell, str) else ""
    return text.startswith(("['", "[{'")) and text.endswith("]")


def looks_like_printed_messages(cell: object) -> bool:
    """Whether a cell is a list of messages as Python prints it, which pandas writes into CSV files."""
    return isinstance(cell, str) and _PRINTED_MESSAGES.match(cell) is not None


def check_not_printed(column: str, cell: object) -> None:
    """Check that a cell is not a list of messages that Python printed.

    Raises:
        UnreadableError: it is.
    """
    if looks_like_printed_messages(cell):
        raise UnreadableError(column, "not_text", PRINTED_MESSAGES)


def row_holds_turns(prompt: object, *answers: object) -> bool:
    """Whether texts of this row that are written as turns are turns (see the top of this module)."""
    written_as_turns = [looks_like_turns(answer) for answer in answers if not is_blank(answer)]
    if is_blank(prompt):
        return bool(written_as_turns) and all(written_as_turns)
    if not looks_like_turns(prompt):
        return False
    return any(written_as_turns) or isinstance(prompt, list) or _is_turns(prompt)


def parse_turns(column: str, cell: object, row_of_turns: bool) -> Turns:
    """The turns in a cell that is not null.

    Raises:
        UnreadableError: the cell is written as turns but broken, or is not text.
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
        raise UnreadableError(column, "not_text", f"is {short_repr(turns)}, neither text nor a list of turns")
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, str | None):
            kind: Kind = "broken_json" if isinstance(cell, str) else "not_text"
            raise UnreadableError(column, kind, f"has {short_repr(turn)} instead of text as turn {number}")
    return tuple(turn or "" for turn in turns)


def _is_turns(cell: object) -> bool:
    try:
        parse_turns("", cell, row_of_turns=True)
    except UnreadableError:
        return False
    return True


def clean_texts(columns: tuple[str, str, str], texts: tuple[Turns, Turns, Turns], report: RowReport) -> list[Turns]:
    """Prompt and both answers as `tiebreak.unicode.clean_text` gives them. Reports repaired, empty and huge texts.

    An answer counts as empty if all its turns are, not counting the turns with which both answers begin.
    """
    cleaned = [_clean(column, turns, report) for column, turns in zip(columns, texts, strict=True)]
    history = _shared_turns(cleaned[1], cleaned[2])
    for column, turns, skipped in zip(columns, cleaned, (0, history, history), strict=True):
        if all(map(is_blank, turns[skipped:])):
            report.add(column, "empty_prompt" if column == columns[0] else "empty_answer", "is empty")
        elif any(map(is_blank, turns)):
            blank = [str(number) for number, turn in enumerate(turns, start=1) if is_blank(turn)]
            shown = ", ".join(blank[:_SHOWN_TURNS]) + (" …" if len(blank) > _SHOWN_TURNS else "")
            report.add(column, "empty_turn", f"has no text in turn {shown} of {len(turns)}")
    return cleaned


def _clean(column: str, turns: Turns, report: RowReport) -> Turns:
    if count := sum(replace_invalid_characters(turn)[1] for turn in turns):
        report.add(column, "repaired_text", f"had {count} lone surrogates or NUL characters, now U+FFFD")
    if (length := sum(map(len, turns))) > _HUGE:
        report.add(column, "huge_cell", f"is {length:,} characters long")
    return tuple(map(clean_text, turns))


def _shared_turns(answer_a: Turns, answer_b: Turns) -> int:
    """The number of turns with which both answers begin; 0 if they are equal to the end."""
    pairs = enumerate(zip(answer_a, answer_b, strict=True))
    return next((turn for turn, (reply_a, reply_b) in pairs if reply_a != reply_b), 0)
