"""Files of answers to score: lists of answers, single answers, whole conversations, or the two answers of votes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tiebreak.data.cells import decode_cell, is_blank
from tiebreak.data.converters import convert_table, find_converter
from tiebreak.data.issues import Problem, RowReport, UnreadableError
from tiebreak.data.layouts import CHOSEN_REJECTED_COLUMNS, TEXT_COLUMNS
from tiebreak.data.layouts.conversations import SYSTEM_COLUMN
from tiebreak.data.layouts.responses import MESSAGES, RESPONSE, RESPONSES, Candidates, parse_candidates
from tiebreak.data.layouts.side_by_side import parse_answers
from tiebreak.data.readers import read_table
from tiebreak.data.recognition import READABLE_COLUMNS
from tiebreak.data.table import Row, Table
from tiebreak.errors import DataError
from tiebreak.formatting import pluralize

_SHOWN: Final = 20
_Parse = Callable[[str, Row], Candidates | list[Problem]]


@dataclass(frozen=True, slots=True)
class CandidatesFile:
    """The rows of a file, in its order.

    `listed` is true if the file has lists of answers (the column `responses`), and false if it has one answer per row
    (`response`, or the end of `messages`), which is then the only one in each row's `answers`.
    """

    rows: tuple[Candidates, ...]
    listed: bool


def read_candidates(path: str | os.PathLike[str]) -> CandidatesFile:
    """Read a file of answers to score, in one of these layouts.

    - `prompt` and `responses`, a list of at least one answer (CSV and JSON lines may hold it as JSON text). Each is a
      text, or a list of as many turns as the prompt has.
    - `prompt` and `response`, one such answer, which may be empty.
    - `messages`, a whole conversation whose last message is the answer.
    - a file of votes in any layout. Its answers are the list: response_a and response_b, or chosen and rejected.

    A prompt is a text, a list of turns, or a list of messages up to the last one of the user. Then each answer is the
    last reply, as a text or as messages. A column `system` holds a system message, a column `id` the ids; without it,
    rows are numbered from 0. Texts are cleaned as by `clean_text`.

    Raises:
        DataError: the file cannot be read, has none of these layouts or several, has no rows, or has rows that cannot
            be used, which the message lists.
    """
    _, table = read_table(Path(path), READABLE_COLUMNS | {RESPONSES, RESPONSE, MESSAGES, SYSTEM_COLUMN})
    table, listed, parse = _layout(str(path), table)
    candidates: list[Candidates] = []
    problems: list[str] = []
    for number, row in enumerate(table.rows):
        if isinstance(row, Problem):
            problems.append(str(row))
            continue
        try:
            cell = decode_cell("id", row.cells.get("id"))
            parsed = parse(str(number) if is_blank(cell) else str(cell), row)
        except UnreadableError as error:
            problems.append(f"{table.unit} {row.line}: {error.column} {error.message}")
            continue
        if isinstance(parsed, Candidates):
            candidates.append(parsed)
        else:
            problems += map(str, parsed)
    if problems:
        more = [f"  and {pluralize(len(problems) - _SHOWN, 'row')} more"] if len(problems) > _SHOWN else []
        lines = [f"  {problem}" for problem in problems[:_SHOWN]]
        raise DataError("\n".join((f"{path}: {pluralize(len(problems), 'row')} cannot be scored:", *lines, *more)))
    if not candidates:
        raise DataError(f"{path} has no rows: there is nothing to score.")
    return CandidatesFile(tuple(candidates), listed)


def _layout(name: str, table: Table) -> tuple[Table, bool, _Parse]:
    """The table, whether it has several answers a row, and how a row is read."""
    present = set(table.columns)
    answers = [column for column in (RESPONSES, RESPONSE) if column in present]
    if len(answers) == 2:
        expected = f"{RESPONSES} (a list of answers) or {RESPONSE} (one answer)"
        raise DataError(f"{name} has both columns {RESPONSES!r} and {RESPONSE!r}: keep one, {expected}.")
    if "prompt" in present and answers:
        listed = answers == [RESPONSES]
        return table, listed, lambda row_id, row: parse_candidates(row_id, row.cells, listed=listed)
    converter = find_converter(name, table.columns)
    if converter is not None and not converter.makes_ids:  # a ranked list would become pairs
        table = convert_table(converter, table)
        present = set(table.columns)
    for columns in (TEXT_COLUMNS[1:], CHOSEN_REJECTED_COLUMNS):
        if present.issuperset(columns):
            return table, True, _pair_parser((columns[0], columns[1]), table)
    if MESSAGES in present:
        return table, False, lambda row_id, row: parse_candidates(row_id, row.cells, listed=False)
    raise _unknown_layout(name, table.columns)


def _pair_parser(columns: tuple[str, str], table: Table) -> _Parse:
    """Reads the two answers of a row of votes, in the order of the columns."""

    def parse(row_id: str, row: Row) -> Candidates | list[Problem]:
        report = RowReport(row.line, table.unit)
        report.id = row_id
        sides = parse_answers(row.cells, columns, report)
        if sides is None:
            return report.problems
        return Candidates(row_id, sides.prompt, (sides.first, sides.second), sides.system)

    return parse


def _unknown_layout(name: str, columns: Sequence[str]) -> DataError:
    has_prompt = "prompt" in columns
    missing = f"{RESPONSES!r} or {RESPONSE!r}" if has_prompt else "'prompt'"
    names = (RESPONSE, RESPONSES) if has_prompt else ("prompt",)
    near = [match for column in names for match in get_close_matches(column, columns, n=1, cutoff=0.75)]
    hint = f" Is it {near[0]!r}? Rename that." if near else ""
    return DataError(
        f"{name} has no column {missing}.{hint} A file to score has prompt and {RESPONSES} (a list of answers) or "
        f"{RESPONSE} (one answer), or {MESSAGES}; or it is a file of votes. Its columns are "
        f"{', '.join(columns) or 'none'}."
    )
