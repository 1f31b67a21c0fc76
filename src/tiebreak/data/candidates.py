"""A file of prompts with any number of answers each -> what is to be ranked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tiebreak.data.jsonfile import parse_json
from tiebreak.data.parse import cell_text, is_blank, parse_turns
from tiebreak.data.problem import Problem, UnreadableError, shown
from tiebreak.data.read import read_table
from tiebreak.data.utf8 import repair
from tiebreak.errors import DataError
from tiebreak.wording import counted

RESPONSES: Final = "responses"
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Candidates:
    """A prompt and the answers to it, in turns: as many in each answer as in the prompt."""

    id: str
    prompt: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]


def read_candidates(path: str | os.PathLike[str]) -> tuple[Candidates, ...]:
    """The rows of a file with the columns `prompt` and `responses`, and perhaps `id`, in its order.

    A prompt is a text or a list of turns, as in files of votes. `responses` is a list of at least one answer (in CSV
    and JSON lines perhaps written as a JSON list), each a text, or a list of as many turns as the prompt has. Without
    ids, rows are numbered from 0. What is no text in Unicode is repaired.

    Raises:
        DataError: the file cannot be read, lacks a column, has no rows, or rows cannot be used; all such are named.
    """
    _, table = read_table(Path(path), ("id", "prompt", RESPONSES))
    for column in ("prompt", RESPONSES):
        if column not in table.columns:
            raise DataError(
                f"{path} has no column {column!r}: a file to score has prompt and {RESPONSES} (a list of answers); "
                f"its columns are {', '.join(table.columns) or 'none'}."
            )
    candidates, problems = [], []
    for number, row in enumerate(table.rows):
        if isinstance(row, Problem):
            problems.append(str(row))
            continue
        try:
            candidates.append(_candidates(row.cells, str(number)))
        except UnreadableError as error:
            problems.append(f"{table.unit} {row.line}: {error.column} {error.message}")
    if problems:
        more = [f"  and {counted(len(problems) - _SHOWN, 'row')} more"] if len(problems) > _SHOWN else []
        lines = [f"  {problem}" for problem in problems[:_SHOWN]]
        raise DataError("\n".join((f"{path}: {counted(len(problems), 'row')} cannot be scored:", *lines, *more)))
    if not candidates:
        raise DataError(f"{path} has no rows: there is nothing to score.")
    return tuple(candidates)


def _candidates(cells: dict[str, object], number: str) -> Candidates:
    prompt_cell = cell_text("prompt", cells.get("prompt"))
    if prompt_cell is None:
        raise UnreadableError("prompt", "missing_prompt", "is missing")
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
    answers = tuple(_turns(f"{RESPONSES}[{i}]", answer) for i, answer in enumerate(cell))
    for i, answer in enumerate(answers):
        if len(answer) != len(prompt):
            raise UnreadableError(
                f"{RESPONSES}[{i}]", "turn_mismatch",
                f"has {counted(len(answer), 'turn')} and the prompt {len(prompt)}: give as many",
            )  # fmt: skip
    given = cell_text("id", cells.get("id"))
    return Candidates(number if is_blank(given) else str(given), prompt, answers)


def _turns(column: str, cell: object, *, of_turns: bool = False) -> tuple[str, ...]:
    turns = parse_turns(column, "" if cell is None else cell, row_of_turns=of_turns)
    if not turns:
        raise UnreadableError(column, "no_turns", "is a list of no turns")
    return tuple(repair(turn)[0] for turn in turns)
