"""Files of answers to score, without votes: a list of answers to a prompt, one answer, a whole conversation, or two."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tiebreak.data.cells import Turns, decode_cell, is_blank, parse_turns, row_holds_turns
from tiebreak.data.converters import convert_table, find_converter
from tiebreak.data.issues import Problem, RowReport, UnreadableError, short_repr
from tiebreak.data.layouts.chosen_rejected import parse_chosen_rejected
from tiebreak.data.layouts.columns import CHOSEN_REJECTED_COLUMNS, SYSTEM_COLUMN
from tiebreak.data.layouts.conversations import add_system, holds_messages
from tiebreak.data.layouts.side_by_side import ANSWER_COLUMNS, parse_side_by_side
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_messages, parse_side, system_message
from tiebreak.data.readers.json_reader import parse_json
from tiebreak.data.readers.sources import open_table
from tiebreak.data.readers.table import Row, Table
from tiebreak.data.recognition import READABLE_COLUMNS
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize
from tiebreak.types import A_WINS, Comparison
from tiebreak.unicode import clean_text

RESPONSES: Final = "responses"
RESPONSE: Final = "response"
MESSAGES: Final = "messages"
_KINDS: Final = {
    (RESPONSES,): "responses (a list of answers)",
    (RESPONSE,): "response (one answer)",
    (MESSAGES,): "messages (a whole conversation, whose last message is the answer)",
    CHOSEN_REJECTED_COLUMNS: "chosen and rejected",
    ANSWER_COLUMNS: "response_a and response_b",
}
"""The columns of answers, of which a file has one kind."""
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

    `listed` is true if the file has several answers per row (`responses`, or a pair such as `chosen` and `rejected`),
    and false if it has one (`response`, `messages`), which is then the only one in each row's `answers`.
    """

    rows: tuple[Candidates, ...]
    listed: bool


def read_candidates(path: str | os.PathLike[str]) -> CandidatesFile:
    """Read a file of answers to score, which has one kind of these columns, and optionally `id` and `system`:

    - `prompt` and `responses`: a list of at least one answer (CSV and JSON lines may hold it as JSON text).
    - `prompt` and `response`: one answer, which may be empty.
    - `messages`: a whole conversation. Its last message is the answer.
    - `chosen` and `rejected`, or `response_a` and `response_b`, as in files of votes: two answers, in this order.
      Votes in layouts of other projects are read likewise.

    A prompt is a text, a list of turns, or messages with `role` and `content` up to the last one of the user, as in
    files of votes. An answer is a text or a list of as many turns as the prompt has; to messages it is the last reply,
    as a text or as messages, or the whole conversation. Turns and messages are distinguished from plain text as in
    files of votes (see `tiebreak.data.cells` and `holds_messages`). Without ids, rows are numbered from 0. Texts are
    cleaned as by `clean_text`.

    Raises:
        DataError: the file cannot be read, lacks a column, has several kinds of answers, has no rows, or has rows that
            cannot be used, which the message lists.
    """
    columns = {"id", "prompt", SYSTEM_COLUMN, *(column for kind in _KINDS for column in kind)}
    _, table = open_table(Path(path), READABLE_COLUMNS | columns)
    table = _converted(str(path), table)
    kind = _recognise_kind(str(path), table.columns)
    candidates, problems = [], []
    for number, row in enumerate(table.rows):
        if isinstance(row, Problem):
            problems.append(str(row))
            continue
        try:
            cell = decode_cell("id", row.cells.get("id"))
            row_id = str(number) if is_blank(cell) else str(cell)
            candidates.append(_parse_row(row_id, row, kind, table))
        except UnreadableError as error:
            problems.append(f"{table.unit} {row.line}: {f'{error.column} {error.message}'.lstrip()}")
    if problems:
        more = [f"  and {pluralize(len(problems) - _SHOWN, 'row')} more"] if len(problems) > _SHOWN else []
        lines = [f"  {problem}" for problem in problems[:_SHOWN]]
        raise DataError("\n".join((f"{path}: {pluralize(len(problems), 'row')} cannot be scored:", *lines, *more)))
    if not candidates:
        raise DataError(f"{path} has no rows: there is nothing to score.")
    return CandidatesFile(tuple(candidates), listed=kind not in ((RESPONSE,), (MESSAGES,)))


def _converted(name: str, table: Table) -> Table:
    """The table with the columns of Tiebreak's own votes, if it holds votes in the layout of another project."""
    if "prompt" in table.columns and {RESPONSES, RESPONSE} & {*table.columns}:
        return table
    converter = find_converter(name, table.columns)
    # A ranked list would become pairs.
    return table if converter is None or converter.makes_ids else convert_table(converter, table)


def _recognise_kind(name: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that hold the answers."""
    present = [kind for kind in _KINDS if set(kind).issubset(columns)]
    if CHOSEN_REJECTED_COLUMNS in present and (MESSAGES,) in present:
        present.remove((MESSAGES,))  # a copy of the chosen conversation, as in UltraFeedback
    if len(present) > 1:
        found = " and ".join(repr(column) for kind in present for column in kind)
        expected = " or ".join(_KINDS[kind] for kind in present)
        raise DataError(f"{name} has answers in {found}: keep one, {expected}.")
    needs_prompt = not present or present[0] in ((RESPONSES,), (RESPONSE,))
    if needs_prompt and ("prompt" not in columns or not present):
        missing = f"{RESPONSES!r} or {RESPONSE!r}" if "prompt" in columns else "'prompt'"
        names = (RESPONSE, RESPONSES) if "prompt" in columns else ("prompt",)
        near = [match for column in names for match in get_close_matches(column, columns, n=1, cutoff=0.75)]
        hint = f" Is it {near[0]!r}? Rename that." if near else ""
        first, second, *others = _KINDS.values()
        raise DataError(
            f"{name} has no column {missing}.{hint} A file to score has prompt and {first} or {second}; or "
            f"{'; or '.join(others)}. Its columns are {', '.join(columns) or 'none'}."
        )
    return present[0]


def _parse_row(row_id: str, row: Row, kind: tuple[str, ...], table: Table) -> Candidates:
    """The prompt and the answers of a row."""
    if len(kind) == 2:
        return _parse_pair(row_id, row, kind, table)
    cells = row.cells
    [column] = kind
    if column == RESPONSES:
        answers = {f"{RESPONSES}[{i}]": answer for i, answer in enumerate(_answers(cells))}
    else:
        answers = {column: _required_cell(column, cells)}
    if column == MESSAGES or holds_messages(cells.get("prompt"), *answers.values()):
        return _parse_messages(row_id, cells, answers)
    prompt, texts = _parse_list(cells, answers) if column == RESPONSES else _parse_single(cells)
    system, prompt = add_system(cells, prompt)
    return Candidates(row_id, prompt, texts, system)


def _parse_pair(row_id: str, row: Row, kind: tuple[str, ...], table: Table) -> Candidates:
    """A row of two answers, as in a file of votes; the chosen one comes first."""
    report = RowReport(row.line, table.unit)
    comparison: Comparison | None
    if kind == CHOSEN_REJECTED_COLUMNS:
        comparison = parse_chosen_rejected(row.cells, row_id, report)
        if comparison is not None and comparison.vote != A_WINS:
            comparison = comparison.swap()
    else:
        comparison = parse_side_by_side(row.cells, "unlabelled", "optional", row_id, report)
    if comparison is None:
        problem = next(problem for problem in report.problems if problem.severity == "unreadable")
        raise UnreadableError(problem.column, problem.kind, problem.message)
    return Candidates(row_id, comparison.prompt, (comparison.answer_a, comparison.answer_b), comparison.system)


def _parse_list(cells: dict[str, object], answers: dict[str, object]) -> tuple[Turns, tuple[Turns, ...]]:
    """The prompt and the answers of a row with a list of answers."""
    prompt_cell = _required_cell("prompt", cells)
    # A prompt written like a JSON list is a list of turns only if an answer is one too.
    prompt = _turns("prompt", prompt_cell, row_of_turns=any(isinstance(answer, list) for answer in answers.values()))
    texts = {column: _turns(column, "" if answer is None else answer) for column, answer in answers.items()}
    for column, turns in texts.items():
        _check_turn_count(column, turns, prompt)
    return prompt, tuple(texts.values())


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


def _parse_messages(row_id: str, cells: dict[str, object], answers: dict[str, object]) -> Candidates:
    """A row of messages: a prompt and the replies to it, or whole conversations."""
    messages = _cleaned(parse_messages("prompt", decode_cell("prompt", cells.get("prompt")), role="user"))
    sides, system = [], ""
    for column, answer in answers.items():
        if column == MESSAGES and not holds_messages(None, answer):
            raise UnreadableError(column, "not_text", f"is {short_repr(answer)}: expected a list of messages")
        reply = _cleaned(parse_messages(column, "" if answer is None else answer, role="assistant"))
        if not reply:
            raise UnreadableError(column, "no_turns", "is a list of no messages")
        sides.append(parse_side(column, messages, reply))
        system = system or system_message(reply, messages)
        if sides[-1][0] != sides[0][0]:
            raise UnreadableError(column, "prompt_mismatch", "is a conversation with another prompt than the first one")
    system, prompt = add_system(cells, sides[0][0], system)
    return Candidates(row_id, prompt, tuple(answer for _, answer in sides), system)


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
