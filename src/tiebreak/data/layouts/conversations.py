"""Rows of messages, and the column `system`: what the layouts share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tiebreak.data.cells import (
    PYTHON_LIST_NOTE,
    Turns,
    check_not_printed,
    clean_texts,
    decode_cell,
    is_blank,
    looks_like_python_repr,
)
from tiebreak.data.issues import RowReport, UnreadableError, short_repr
from tiebreak.data.layouts.columns import SYSTEM_COLUMN
from tiebreak.data.message_content import Message
from tiebreak.data.messages import ToolCalls, is_messages, is_written_as_messages, parse_messages, parse_side
from tiebreak.data.messages import system_message as system_of_messages
from tiebreak.data.transcripts import is_transcript, parse_transcript, parse_transcript_prompt
from tiebreak.types import join_system
from tiebreak.unicode import clean_text

Side = tuple[Turns, Turns]
"""The user's turns and the replies to them."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Two conversations with the same prompt, which begins with the system message, as in `Comparison`."""

    prompt: Turns
    answers: tuple[Turns, Turns]
    system: str


def holds_messages(prompt: object, *answers: object) -> bool:
    """Whether the cells of a row are messages; those that are text are then one message.

    A real list of messages decides for its row. Text that is written as messages decides if it is the prompt, or if
    there is no prompt and every answer that is not empty is written so: answers to "reply with JSON" are texts.
    """
    if any(is_messages(cell) for cell in (prompt, *answers)):
        return True
    if not is_blank(prompt):
        return is_written_as_messages(prompt)
    nonempty = [answer for answer in answers if not is_blank(answer)]
    return bool(nonempty) and all(map(is_written_as_messages, nonempty))


def parse_sides(
    cells: Mapping[str, object], columns: tuple[str, str], report: RowReport, tool_calls: ToolCalls
) -> Sides | None:
    """The conversations of a row whose prompt and two answers are messages, or None with the reasons in the report.

    Args:
        cells: of the row; the prompt may be missing if the answers are whole conversations.
        columns: of the answers.
        report: for problems.
        tool_calls: as in `parse_side`.
    """
    messages = _parse_messages(cells, columns, report)
    sides = None if messages is None else _parse_two(messages, columns, report, tool_calls)
    if messages is None or sides is None:
        return None
    (prompt, a), (_, b) = sides
    # Whole conversations count before the prompt, as in `parse_side`.
    system = system_of_messages(*(messages[name] for name in (*columns, "prompt")))
    return Sides(prompt, (a, b), system)


def clean_sides(cells: Mapping[str, object], columns: tuple[str, str], sides: Sides, report: RowReport) -> Sides | None:
    """The sides as `clean_texts` gives them, with the system message of the column `system`, if it has one."""
    prompt, a, b = clean_texts(("prompt", *columns), (sides.prompt, *sides.answers), report)
    with report:
        system, prompt = add_system(cells, prompt, clean_text(sides.system))
        return Sides(prompt, (a, b), system)
    return None


def add_system(cells: Mapping[str, object], prompt: Turns, found: str = "") -> tuple[str, Turns]:
    """The system message of a row, and its prompt, which begins with it.

    Args:
        cells: of the row; the column `system` may be missing.
        prompt: the cleaned turns.
        found: the system message that the prompt begins with already.

    Raises:
        UnreadableError: the column is not text, or differs from the system message of the conversation.
    """
    cell = decode_cell(SYSTEM_COLUMN, cells.get(SYSTEM_COLUMN))
    if is_blank(cell):
        return found, prompt
    if not isinstance(cell, str):
        raise UnreadableError(SYSTEM_COLUMN, "not_text", f"is {short_repr(cell)}: expected text")
    system = clean_text(cell)
    if not found:
        return system, (join_system(system, prompt[0]), *prompt[1:])
    if found.strip() != system.strip():
        message = f"is {short_repr(cell)}, but the messages begin with another system message: keep one of them"
        raise UnreadableError(SYSTEM_COLUMN, "prompt_mismatch", message)
    return found, prompt


def _parse_messages(
    cells: Mapping[str, object], columns: tuple[str, str], report: RowReport
) -> dict[str, tuple[Message, ...]] | None:
    """The messages of each column; None if one cannot be read."""
    messages: dict[str, tuple[Message, ...]] = {}
    # A single answer that begins like a transcript is one in which a model made up the next turn of the user.
    answers = [cells.get(column) for column in columns if not is_blank(cells.get(column))]
    transcripts = is_blank(cells.get("prompt")) or all(map(is_transcript, answers))
    for column in ("prompt", *columns):
        with report:
            cell = decode_cell(column, cells.get(column))
            check_not_printed(column, cell)
            if looks_like_python_repr(cell):
                report.add(column, "lists_as_text", PYTHON_LIST_NOTE)
            blank = is_blank(cell) and column != "prompt"
            role = "user" if column == "prompt" else "assistant"
            if isinstance(cell, str) and is_transcript(cell) and (column == "prompt" or transcripts):
                messages[column] = (parse_transcript_prompt if column == "prompt" else parse_transcript)(cell)
            else:
                messages[column] = () if blank else parse_messages(column, cell, role=role)
    return None if report.is_unreadable() else messages


def _parse_two(
    messages: dict[str, tuple[Message, ...]], columns: tuple[str, str], report: RowReport, tool_calls: ToolCalls
) -> tuple[Side, Side] | None:
    """Both sides, which reply to the same prompt."""
    sides = _parse_conversations(messages, columns, report, tool_calls)
    if report.is_unreadable():
        return None
    first, second = columns
    nonempty = sides.get(first) or sides[second]
    empty = (nonempty[0], (*nonempty[1][:-1], ""))
    a, b = sides.get(first, empty), sides.get(second, empty)
    if a[0] == b[0]:
        return a, b
    turns = len(a[0]), len(b[0])
    if turns[0] != turns[1]:
        report.add("", "turn_mismatch", f"numbers of turns differ: {first} has {turns[0]}, {second} has {turns[1]}")
    else:
        report.add("", "prompt_mismatch", f"{first} and {second} reply to different prompts")
    return None


def _parse_conversations(
    messages: dict[str, tuple[Message, ...]], columns: tuple[str, str], report: RowReport, tool_calls: ToolCalls
) -> dict[str, Side]:
    """The sides that have a reply. If neither has, the first side with an empty reply, which holds the prompt."""
    replies = {column: messages[column] for column in columns if messages[column]}
    sides: dict[str, Side] = {}
    for column, reply in (replies or {columns[0]: (("assistant", ""),)}).items():
        with report:
            sides[column] = parse_side(column, messages["prompt"], reply, tool_calls=tool_calls)
    return sides
