"""Rows of prompt, response_a, response_b and a vote; the texts are plain text, turns or messages."""

from __future__ import annotations

from typing import Final

from tiebreak.data.cells import (
    PRINTED_MESSAGES,
    PYTHON_LIST_NOTE,
    Turns,
    decode_cell,
    is_blank,
    looks_like_printed_messages,
    looks_like_python_repr,
    looks_like_turns,
    parse_turns,
    row_holds_turns,
)
from tiebreak.data.issues import RowReport, UnreadableError
from tiebreak.data.layouts.columns import MARGIN_COLUMN, TEXT_COLUMNS, WEIGHT_COLUMN, WINNER_COLUMNS, Layout, Votes
from tiebreak.data.layouts.conversations import Sides, clean_sides, holds_messages, parse_sides
from tiebreak.data.layouts.votes import (
    ALL_WINNER_COLUMNS,
    parse_margin,
    parse_weight,
    parse_winner,
    parse_winner_columns,
)
from tiebreak.data.messages import ToolCalls, is_written_as_messages
from tiebreak.types import Comparison, Vote

ANSWER_COLUMNS: Final = ("response_a", "response_b")


def parse_side_by_side(
    cells: dict[str, object],
    layout: Layout,
    votes: Votes,
    row_id: str,
    report: RowReport,
    tool_calls: ToolCalls = "refuse",
) -> Comparison | None:
    """The comparison in a row, or None with the reasons in the report."""
    if holds_messages(*(cells.get(column) for column in TEXT_COLUMNS)):
        sides = parse_sides(cells, ANSWER_COLUMNS, report, tool_calls)
    else:
        sides = _parse_texts(cells, report)
    unlabelled = layout == "unlabelled"
    vote, margin, weight = (None, 0.0, 1.0) if unlabelled else _parse_vote(cells, layout, votes, report)
    if sides is None or report.is_unreadable():
        return None
    sides = clean_sides(cells, ANSWER_COLUMNS, sides, report)
    if sides is None:
        return None
    return Comparison(sides.prompt, *sides.answers, vote, row_id, margin, system=sides.system, weight=weight)


def _parse_texts(cells: dict[str, object], report: RowReport) -> Sides | None:
    """The turns of prompt, response_a and response_b, equally many in each."""
    texts: dict[str, object] = {}
    for column in TEXT_COLUMNS:
        with report:
            texts[column] = decode_cell(column, cells.get(column))
    if texts.get("prompt", "") is None:
        report.add("prompt", "missing_prompt", "is missing")
    # A single answer may well be about Python.
    printed = [column for column in TEXT_COLUMNS if looks_like_printed_messages(texts.get(column))]
    if "prompt" in printed or len(printed) == 2:
        report.add(printed[0], "not_text", PRINTED_MESSAGES)
    if report.is_unreadable():
        return None
    row_of_turns = row_holds_turns(*(texts[column] for column in TEXT_COLUMNS))
    if not row_of_turns and all(looks_like_turns(texts[column]) for column in TEXT_COLUMNS[1:]):
        note = "both answers are lists of texts in JSON, but the prompt is plain text: read as plain text"
        report.add("", "lists_as_text", note)
    if all(is_written_as_messages(texts[column]) for column in TEXT_COLUMNS[1:]):
        note = "both answers are messages in JSON, but the prompt is plain text: read as plain text. Empty the prompt"
        report.add("", "lists_as_text", f"{note} if they are whole conversations, or write it as messages")
    printed = [column for column in TEXT_COLUMNS if looks_like_python_repr(texts[column])]
    if "prompt" in printed or len(printed) == 2:  # a single answer may well be about Python
        report.add(", ".join(printed), "lists_as_text", PYTHON_LIST_NOTE)
    turns: dict[str, Turns] = {}
    for column, cell in texts.items():
        with report:
            turns[column] = () if is_blank(cell) else parse_turns(column, cell, row_of_turns)
    if len(turns) < len(TEXT_COLUMNS):
        return None
    return _fill_blank(texts, turns, report)


def _fill_blank(texts: dict[str, object], turns: dict[str, Turns], report: RowReport) -> Sides | None:
    """The turns, with as many empty turns in a blank cell as the other cells have."""
    counts = {len(turns[column]) for column in TEXT_COLUMNS if not is_blank(texts[column])} or {1}
    if len(counts) > 1:
        numbers = ", ".join(f"{column} has {len(turns[column])}" for column in TEXT_COLUMNS)
        report.add("", "turn_mismatch", f"numbers of turns differ: {numbers}")
        return None
    count = counts.pop()
    if not count:
        report.add("", "no_turns", "prompt and answers are lists of no turns")
        return None
    prompt, answer_a, answer_b = (turns[column] or ("",) * count for column in TEXT_COLUMNS)
    return Sides(prompt, (answer_a, answer_b), "")


def _parse_vote(
    cells: dict[str, object], layout: Layout, votes: Votes, report: RowReport
) -> tuple[Vote | None, float, float]:
    """The vote, its margin and its weight; problems with them are reported."""
    vote, margin, weight = None, 0.0, 1.0
    with report:
        if layout == "winner":
            column = "winner"
            vote = parse_winner(decode_cell(column, cells.get(column)), (cells.get("model_a"), cells.get("model_b")))
        else:
            column = ALL_WINNER_COLUMNS
            no_tie = 0 if WINNER_COLUMNS[2] not in cells else None  # a file of votes without ties may lack the column
            vote = parse_winner_columns(*(decode_cell(name, cells.get(name, no_tie)) for name in WINNER_COLUMNS))
        if vote is None and votes == "required":
            raise UnreadableError(column, "no_vote", "no vote: a vote is needed here")
    with report:
        margin = parse_margin(cells.get(MARGIN_COLUMN), vote)
    with report:
        weight = parse_weight(cells.get(WEIGHT_COLUMN))
    return vote, margin, weight
