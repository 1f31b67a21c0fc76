"""Rows of a prompt with a list of responses, or with one response: answers to score, without votes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tiebreak.data.cells import Turns, decode_cell, is_blank, parse_turns, row_holds_turns
from tiebreak.data.issues import UnreadableError, short_repr
from tiebreak.data.json_reader import parse_json
from tiebreak.data.layouts.conversations import add_system
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_messages, parse_side, system_message
from tiebreak.formatting import pluralize
from tiebreak.unicode import clean_text

RESPONSES: Final = "responses"
RESPONSE: Final = "response"
MESSAGES: Final = "messages"
"""A column of whole conversations, whose last message is the answer to score."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """A prompt and the answers to it, in turns; each answer has as many turns as the prompt.

    `system` is the system message of a prompt of messages, as in `Comparison`.
    """

    id: str
    prompt: Turns
    answers: tuple[Turns, ...]
    system: str = ""


def parse_candidates(row_id: str, cells: dict[str, object], *, listed: bool) -> Candidates:
    """The candidates in a row.

    Args:
        row_id: its id.
        cells: with `prompt`, and with `responses` if `listed`, else with `response`; or with `messages` alone.
        listed: whether there is a list of answers.

    Raises:
        UnreadableError: the row does not make a prompt with answers.
    """
    if MESSAGES in cells:
        return _with_system(cells, _parse_conversation(row_id, cells))
    if _is_messages(cells.get("prompt")):
        return _with_system(cells, _parse_messages(row_id, cells, listed))
    return _with_system(cells, Candidates(row_id, *(_parse_list if listed else _parse_single)(cells)))


def _with_system(cells: dict[str, object], row: Candidates) -> Candidates:
    """The row with the system message of its column, if there is one."""
    prompt, system = add_system(cells, row.prompt, row.system)
    return replace(row, prompt=prompt, system=system)


def _parse_conversation(row_id: str, cells: dict[str, object]) -> Candidates:
    messages = _cleaned(parse_messages(MESSAGES, decode_cell(MESSAGES, cells[MESSAGES]), role="user"))
    if not messages:
        raise UnreadableError(MESSAGES, "no_turns", "is a list of no messages")
    prompt, answer = parse_side(MESSAGES, (), messages)
    return Candidates(row_id, prompt, (answer,), system_message(messages))


def _parse_list(cells: dict[str, object]) -> tuple[Turns, tuple[Turns, ...]]:
    """The prompt and the answers of a row with a list of answers."""
    prompt_cell, cell = _required_cell("prompt", cells), _answers(cells)
    # A prompt written like a JSON list is a list of turns only if an answer is one too.
    prompt = _turns("prompt", prompt_cell, row_of_turns=any(isinstance(answer, list) for answer in cell))
    answers = tuple(_turns(f"{RESPONSES}[{i}]", "" if answer is None else answer) for i, answer in enumerate(cell))
    for i, answer in enumerate(answers):
        _check_turn_count(f"{RESPONSES}[{i}]", answer, prompt)
    return prompt, answers


def _answers(cells: dict[str, object]) -> list[object]:
    """The answers of a row with a list of them, at least one."""
    cell = decode_cell(RESPONSES, cells.get(RESPONSES))
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = parse_json(cell)
        except ValueError as error:
            raise UnreadableError(RESPONSES, "broken_json", f"is not a JSON list of answers: {error}") from None
    if not isinstance(cell, list):
        raise UnreadableError(RESPONSES, "not_text", f"is {short_repr(cell)}: give a list of answers")
    if not cell:
        raise UnreadableError(RESPONSES, "not_text", "is an empty list: give at least one answer")
    return cell


def _is_messages(prompt: object) -> bool:
    return isinstance(prompt, list) and any(isinstance(message, dict) for message in prompt)


def _parse_messages(row_id: str, cells: dict[str, object], listed: bool) -> Candidates:
    """A row whose prompt is a list of messages."""
    messages = _cleaned(parse_messages("prompt", cells["prompt"], role="user"))
    replies = (
        {f"{RESPONSES}[{i}]": answer for i, answer in enumerate(_answers(cells))}
        if listed
        else {RESPONSE: _required_cell(RESPONSE, cells)}
    )
    sides, system = [], ""
    for column, answer in replies.items():
        reply = _cleaned(parse_messages(column, "" if answer is None else answer, role="assistant"))
        if not reply:
            raise UnreadableError(column, "no_turns", "is a list of no messages")
        sides.append(parse_side(column, messages, reply))
        system = system or system_message(reply, messages)
        if sides[-1][0] != sides[0][0]:
            raise UnreadableError(column, "prompt_mismatch", "is a conversation with another prompt than the first one")
    return Candidates(row_id, sides[0][0], tuple(answer for _, answer in sides), system)


def _cleaned(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple((role, clean_text(content)) for role, content in messages)


def _parse_single(cells: dict[str, object]) -> tuple[Turns, tuple[Turns]]:
    """The prompt and the one answer of a row; a blank cell gets as many turns as the other has."""
    prompt_cell, cell = _required_cell("prompt", cells), _required_cell(RESPONSE, cells)
    row_of_turns = row_holds_turns(prompt_cell, cell)
    prompt = _turns("prompt", prompt_cell, row_of_turns=row_of_turns)
    answer = _turns(RESPONSE, cell, row_of_turns=row_of_turns)
    if is_blank(cell):
        answer += ("",) * (len(prompt) - 1)
    if is_blank(prompt_cell):
        prompt += ("",) * (len(answer) - 1)
    _check_turn_count(RESPONSE, answer, prompt)
    return prompt, (answer,)


def _required_cell(column: str, cells: dict[str, object]) -> object:
    cell = decode_cell(column, cells.get(column))
    if cell is None:
        raise UnreadableError(column, "missing_prompt" if column == "prompt" else "not_text", "is missing")
    return cell


def _turns(column: str, cell: object, *, row_of_turns: bool = False) -> Turns:
    turns = parse_turns(column, cell, row_of_turns=row_of_turns)
    if not turns:
        raise UnreadableError(column, "no_turns", "is a list of no turns")
    return tuple(map(clean_text, turns))


def _check_turn_count(column: str, answer: Turns, prompt: Turns) -> None:
    if len(answer) != len(prompt):
        message = f"has {pluralize(len(answer), 'turn')} and the prompt {len(prompt)}: give as many"
        raise UnreadableError(column, "turn_mismatch", message)
