"""Both sides of a row as conversations: the prompt, and two replies to it, in messages or as text."""

from __future__ import annotations

from typing import Final, NamedTuple

from tiebreak.data.cells import PYTHON_LIST_NOTE, Turns, decode_cell, is_blank, looks_like_python_repr
from tiebreak.data.issues import RowReport, UnreadableError
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_messages, parse_side, system_message
from tiebreak.data.transcripts import is_transcript, parse_transcript
from tiebreak.types import join_system
from tiebreak.unicode import clean_text

SYSTEM_COLUMN: Final = "system"
"""A column with the system message of the row."""

Side = tuple[Turns, Turns]
"""The user's turns and the replies to them."""


class Sides(NamedTuple):
    """A prompt with the replies of both sides, and the system message that the prompt begins with."""

    prompt: Turns
    first: Turns
    second: Turns
    system: str


def parse_sides(cells: dict[str, object], columns: tuple[str, str], report: RowReport) -> Sides | None:
    """The conversations in a row, or None with the reasons in the report.

    Args:
        cells: of the row. The column `prompt` may be empty if the replies are whole conversations.
        columns: of the two replies.
        report: of the row.
    """
    messages = _parse_messages(cells, columns, report)
    sides = None if messages is None else _equal_prompts(messages, columns, report)
    if messages is None or sides is None:
        return None
    (prompt, first), (_, second) = sides
    system = clean_text(system_message(*(messages[name] for name in (*columns, "prompt"))))
    with report:
        prompt, system = add_system(cells, prompt, system)
    return None if report.is_unreadable() else Sides(prompt, first, second, system)


def add_system(cells: dict[str, object], prompt: Turns, system: str = "") -> tuple[Turns, str]:
    """The prompt with the system message of the row's column in front, and the system message.

    Args:
        cells: of the row.
        prompt: the user's turns.
        system: the message that the prompt begins with already, if there is one.

    Raises:
        UnreadableError: the column is not text, or has another system message than the prompt.
    """
    cell = decode_cell(SYSTEM_COLUMN, cells.get(SYSTEM_COLUMN))
    if is_blank(cell):
        return prompt, system
    if not isinstance(cell, str):
        raise UnreadableError(SYSTEM_COLUMN, "not_text", "is not text")
    text = clean_text(cell)
    if system and system != text:
        raise UnreadableError(SYSTEM_COLUMN, "roles", "differs from the system message that the messages begin with")
    return (prompt, system) if system else ((join_system(text, prompt[0]), *prompt[1:]), text)


def _parse_messages(
    cells: dict[str, object], columns: tuple[str, str], report: RowReport
) -> dict[str, tuple[Message, ...]] | None:
    """The messages of each column; None if one cannot be read."""
    messages: dict[str, tuple[Message, ...]] = {}
    for column, role in (("prompt", "user"), *((column, "assistant") for column in columns)):
        with report:
            cell = decode_cell(column, cells.get(column))
            if looks_like_python_repr(cell):
                report.add(column, "lists_as_text", PYTHON_LIST_NOTE)
            if isinstance(cell, str) and is_transcript(cell) and (column == "prompt" or is_blank(cells.get("prompt"))):
                messages[column] = parse_transcript(cell)
            else:
                blank = is_blank(cell) and column != "prompt"
                messages[column] = () if blank else parse_messages(column, cell, role=role)
    return None if report.is_unreadable() else messages


def _equal_prompts(
    messages: dict[str, tuple[Message, ...]], columns: tuple[str, str], report: RowReport
) -> tuple[Side, Side] | None:
    """Both sides, if they reply to the same prompt."""
    sides = _parse_conversations(messages, columns, report)
    if report.is_unreadable():
        return None
    nonempty = sides.get(columns[0]) or sides[columns[1]]
    empty = (nonempty[0], (*nonempty[1][:-1], ""))
    first, second = (sides.get(column, empty) for column in columns)
    if first[0] == second[0]:
        return first, second
    turns = len(first[0]), len(second[0])
    if turns[0] != turns[1]:
        difference = f"{columns[0]} has {turns[0]}, {columns[1]} has {turns[1]}"
        report.add("", "turn_mismatch", f"numbers of turns differ: {difference}")
    else:
        report.add("", "prompt_mismatch", f"{columns[0]} and {columns[1]} reply to different prompts")
    return None


def _parse_conversations(
    messages: dict[str, tuple[Message, ...]], columns: tuple[str, str], report: RowReport
) -> dict[str, Side]:
    """The sides that have a reply. If neither has, the first side with an empty reply, which holds the prompt."""
    replies = {column: messages[column] for column in columns if messages[column]}
    sides: dict[str, Side] = {}
    for column, reply in (replies or {columns[0]: (("assistant", ""),)}).items():
        with report:
            sides[column] = parse_side(column, messages["prompt"], reply)
    return sides
