"""Files of prompts with a list of responses per row, or with one response per row: answers to score, without votes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tiebreak.data.cells import Turns, decode_cell, is_blank, parse_turns, row_holds_turns
from tiebreak.data.issues import Problem, UnreadableError, short_repr
from tiebreak.data.json_reader import parse_json
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_messages, parse_side, system_message
from tiebreak.data.table_sources import open_table
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.unicode import clean_text

RESPONSES: Final = "responses"
RESPONSE: Final = "response"
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Candidates:
    """A prompt and the answers to it, in turns; each answer has as many turns as the prompt.

    `system` is the system message of a prompt of messages, as in `Comparison`.
    """

    id: str
    prompt: Turns
    answers: tuple[Turns, ...]
    system: str = ""


@dataclass(frozen=True, slots=True)
class CandidatesFile:
    """The rows of a file, in its order.

    `listed` is true if the file has lists of answers (the column `responses`), and false if it has one answer per row
    (`response`), which is then the only one in each row's `answers`.
    """

    rows: tuple[Candidates, ...]
    listed: bool


def read_candidates(path: str | os.PathLike[str]) -> CandidatesFile:
    """Read a file with the columns `prompt` and either `responses` or `response`, and optionally `id`.

    A prompt is a text or a list of turns, as in files of votes. `responses` is a list of at least one answer (CSV and
    JSON lines may hold it as JSON text); each is a text, or a list of as many turns as the prompt has. `response` is
    one such answer, which may be empty; turns are distinguished from plain text as in files of votes (see
    `tiebreak.data.cells`). Without ids, rows are numbered from 0. Texts are cleaned as by `clean_text`.

    In JSON lines and Parquet a prompt may also be a list of messages with `role` and `content`, up to the last one of
    the user. Then each answer is the last reply, as a text or as messages.

    Raises:
        DataError: the file cannot be read, lacks a column, has both columns of answers, has no rows, or has rows that
            cannot be used, which the message lists.
    """
    _, table = open_table(Path(path), ("id", "prompt", RESPONSES, RESPONSE))
    listed = _has_lists(str(path), table.columns)
    candidates, problems = [], []
    for number, row in enumerate(table.rows):
        if isinstance(row, Problem):
            problems.append(str(row))
            continue
        try:
            cell = decode_cell("id", row.cells.get("id"))
            row_id = str(number) if is_blank(cell) else str(cell)
            if _is_messages(row.cells.get("prompt")):
                candidates.append(_parse_messages(row_id, row.cells, listed))
            else:
                candidates.append(Candidates(row_id, *(_parse_list if listed else _parse_single)(row.cells)))
        except UnreadableError as error:
            problems.append(f"{table.unit} {row.line}: {error.column} {error.message}")
    if problems:
        more = [f"  and {pluralize(len(problems) - _SHOWN, 'row')} more"] if len(problems) > _SHOWN else []
        lines = [f"  {problem}" for problem in problems[:_SHOWN]]
        raise DataError("\n".join((f"{path}: {pluralize(len(problems), 'row')} cannot be scored:", *lines, *more)))
    if not candidates:
        raise DataError(f"{path} has no rows: there is nothing to score.")
    return CandidatesFile(tuple(candidates), listed)


def _has_lists(name: str, columns: tuple[str, ...]) -> bool:
    """Whether the answers are in `responses`, and not in `response`."""
    expected = f"{RESPONSES} (a list of answers) or {RESPONSE} (one answer)"
    present = [column for column in (RESPONSES, RESPONSE) if column in columns]
    if len(present) == 2:
        raise DataError(f"{name} has both columns {RESPONSES!r} and {RESPONSE!r}: keep one, {expected}.")
    if "prompt" not in columns or not present:
        missing = f"{RESPONSES!r} or {RESPONSE!r}" if "prompt" in columns else "'prompt'"
        names = (RESPONSE, RESPONSES) if "prompt" in columns else ("prompt",)
        near = [match for column in names for match in get_close_matches(column, columns, n=1, cutoff=0.75)]
        hint = f" Is it {near[0]!r}? Rename that." if near else ""
        raise DataError(
            f"{name} has no column {missing}.{hint} A file to score has prompt and {expected}; "
            f"its columns are {', '.join(columns) or 'none'}."
        )
    return present == [RESPONSES]


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
