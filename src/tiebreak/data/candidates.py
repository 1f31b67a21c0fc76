"""A file of prompts with any number of answers each, or with one answer a row -> what is to be scored."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tiebreak.data.cells import cell_text, is_blank, parse_turns, row_holds_turns
from tiebreak.data.issues import Problem, UnreadableError, shown
from tiebreak.data.json_reader import parse_json
from tiebreak.data.readers import read_table
from tiebreak.data.utf8 import repair
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize

RESPONSES: Final = "responses"
RESPONSE: Final = "response"
_SHOWN: Final = 20

Turns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """A prompt and the answers to it, in turns: as many in each answer as in the prompt."""

    id: str
    prompt: Turns
    answers: tuple[Turns, ...]


@dataclass(frozen=True, slots=True)
class CandidatesFile:
    """The rows of a file, in its order.

    `listed` says whether it has lists of answers (the column `responses`), or one answer a row (`response`), which
    then is all that each row's `answers` holds.
    """

    rows: tuple[Candidates, ...]
    listed: bool


def read_candidates(path: str | os.PathLike[str]) -> CandidatesFile:
    """A file with the columns `prompt` and either `responses` or `response`, and perhaps `id`.

    A prompt is a text or a list of turns, as in files of votes. `responses` is a list of at least one answer (in CSV
    and JSON lines perhaps written as a JSON list), each a text, or a list of as many turns as the prompt has.
    `response` is one such answer, perhaps an empty text; what is written as turns is told from plain text as in files
    of votes (see `parse`). Without ids, rows are numbered from 0. What is no text in Unicode is repaired.

    Raises:
        DataError: the file cannot be read, lacks a column or has both of answers, has no rows, or rows cannot be
            used; all such are named.
    """
    _, table = read_table(Path(path), ("id", "prompt", RESPONSES, RESPONSE))
    listed = _lists_answers(str(path), table.columns)
    candidates, problems = [], []
    for number, row in enumerate(table.rows):
        if isinstance(row, Problem):
            problems.append(str(row))
            continue
        try:
            prompt, answers = (_listed if listed else _single)(row.cells)
            given = cell_text("id", row.cells.get("id"))
            candidates.append(Candidates(str(number) if is_blank(given) else str(given), prompt, answers))
        except UnreadableError as error:
            problems.append(f"{table.unit} {row.line}: {error.column} {error.message}")
    if problems:
        more = [f"  and {pluralize(len(problems) - _SHOWN, 'row')} more"] if len(problems) > _SHOWN else []
        lines = [f"  {problem}" for problem in problems[:_SHOWN]]
        raise DataError("\n".join((f"{path}: {pluralize(len(problems), 'row')} cannot be scored:", *lines, *more)))
    if not candidates:
        raise DataError(f"{path} has no rows: there is nothing to score.")
    return CandidatesFile(tuple(candidates), listed)


def _lists_answers(name: str, columns: tuple[str, ...]) -> bool:
    """Whether the answers are in `responses`, and not in `response`."""
    kinds = f"{RESPONSES} (a list of answers) or {RESPONSE} (one answer)"
    found = [column for column in (RESPONSES, RESPONSE) if column in columns]
    if len(found) == 2:
        raise DataError(f"{name} has both columns {RESPONSES!r} and {RESPONSE!r}: keep one, {kinds}.")
    if "prompt" not in columns or not found:
        missing = f"{RESPONSES!r} or {RESPONSE!r}" if "prompt" in columns else "'prompt'"
        wanted = (RESPONSE, RESPONSES) if "prompt" in columns else ("prompt",)
        near = [match for column in wanted for match in get_close_matches(column, columns, n=1, cutoff=0.75)]
        hint = f" Is it {near[0]!r}? Rename that." if near else ""
        raise DataError(
            f"{name} has no column {missing}.{hint} A file to score has prompt and {kinds}; "
            f"its columns are {', '.join(columns) or 'none'}."
        )
    return found == [RESPONSES]


def _listed(cells: dict[str, object]) -> tuple[Turns, tuple[Turns, ...]]:
    """The prompt and the answers of a row with a list of them."""
    prompt_cell = _present("prompt", cells)
    cell = cell_text(RESPONSES, cells.get(RESPONSES))
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = parse_json(cell)
        except ValueError as error:
            raise UnreadableError(RESPONSES, "broken_json", f"is not a JSON list of answers: {error}") from None
    if not isinstance(cell, list):
        raise UnreadableError(RESPONSES, "not_text", f"is {shown(cell)}: give a list of answers")
    if not cell:
        raise UnreadableError(RESPONSES, "not_text", "is an empty list: give at least one answer")
    # A prompt written like a JSON list is one where answers are lists of turns too.
    prompt = _turns("prompt", prompt_cell, of_turns=any(isinstance(answer, list) for answer in cell))
    answers = tuple(_turns(f"{RESPONSES}[{i}]", "" if answer is None else answer) for i, answer in enumerate(cell))
    for i, answer in enumerate(answers):
        _check_turns(f"{RESPONSES}[{i}]", answer, prompt)
    return prompt, answers


def _single(cells: dict[str, object]) -> tuple[Turns, tuple[Turns]]:
    """The prompt and the one answer of a row; a blank cell has as many turns as the other."""
    prompt_cell, cell = _present("prompt", cells), _present(RESPONSE, cells)
    of_turns = row_holds_turns(prompt_cell, cell, None)
    prompt = _turns("prompt", prompt_cell, of_turns=of_turns)
    answer = _turns(RESPONSE, cell, of_turns=of_turns)
    if is_blank(cell):
        answer += ("",) * (len(prompt) - 1)
    if is_blank(prompt_cell):
        prompt += ("",) * (len(answer) - 1)
    _check_turns(RESPONSE, answer, prompt)
    return prompt, (answer,)


def _present(column: str, cells: dict[str, object]) -> object:
    cell = cell_text(column, cells.get(column))
    if cell is None:
        raise UnreadableError(column, "missing_prompt" if column == "prompt" else "not_text", "is missing")
    return cell


def _turns(column: str, cell: object, *, of_turns: bool = False) -> Turns:
    turns = parse_turns(column, cell, row_of_turns=of_turns)
    if not turns:
        raise UnreadableError(column, "no_turns", "is a list of no turns")
    return tuple(repair(turn)[0] for turn in turns)


def _check_turns(column: str, answer: Turns, prompt: Turns) -> None:
    if len(answer) != len(prompt):
        message = f"has {pluralize(len(answer), 'turn')} and the prompt {len(prompt)}: give as many"
        raise UnreadableError(column, "turn_mismatch", message)
