"""A row of prompt, response_a, response_b and a vote -> a comparison."""

from __future__ import annotations

from tiebreak.data.cells import (
    PRINTED_BY_PYTHON,
    WINNER_COLUMNS,
    cell_text,
    is_blank,
    looks_like_python_repr,
    looks_like_turns,
    parse_margin,
    parse_turns,
    parse_winner,
    parse_winner_columns,
    row_holds_turns,
)
from tiebreak.data.issues import UnreadableError
from tiebreak.data.layouts import ANSWERS, MARGIN, WINNERS, Layout, Votes
from tiebreak.data.row_report import RowReport
from tiebreak.data.texts import Turns, repaired
from tiebreak.types import Comparison, Vote


def parse_side_by_side(
    cells: dict[str, object], layout: Layout, votes: Votes, row_id: str, report: RowReport
) -> Comparison | None:
    """The comparison in a row, or None with the reasons in the report."""
    texts = _texts(cells, report)
    vote, margin = (None, 0.0) if layout == "unlabelled" else _vote(cells, layout, votes, report)
    if texts is None or report.unreadable():
        return None
    prompt, answer_a, answer_b = repaired(ANSWERS, texts, report)
    return Comparison(prompt, answer_a, answer_b, vote, row_id, margin)


def _texts(cells: dict[str, object], report: RowReport) -> tuple[Turns, Turns, Turns] | None:
    """The turns of prompt, response_a and response_b, as many in each; a blank cell has as many as the others."""
    texts: dict[str, object] = {}
    for column in ANSWERS:
        with report:
            texts[column] = cell_text(column, cells.get(column))
    if texts.get("prompt", "") is None:
        report.add("prompt", "missing_prompt", "is missing")
    if report.unreadable():
        return None
    of_turns = row_holds_turns(*texts.values())
    if not of_turns and all(looks_like_turns(texts[column]) for column in ANSWERS[1:]):
        note = "both answers are lists of texts in JSON, but the prompt is plain text: read as plain text"
        report.add("", "lists_as_text", note)
    printed = [column for column in ANSWERS if looks_like_python_repr(texts[column])]
    if "prompt" in printed or len(printed) == 2:  # an answer alone may well be about Python
        report.add(", ".join(printed), "lists_as_text", PRINTED_BY_PYTHON)
    turns: dict[str, Turns] = {}
    for column, cell in texts.items():
        with report:
            turns[column] = () if is_blank(cell) else parse_turns(column, cell, of_turns)
    if len(turns) < len(ANSWERS):
        return None
    return _aligned(texts, turns, report)


def _aligned(texts: dict[str, object], turns: dict[str, Turns], report: RowReport) -> tuple[Turns, Turns, Turns] | None:
    counts = {len(turns[column]) for column in ANSWERS if not is_blank(texts[column])} or {1}
    if len(counts) > 1:
        has = [f"{column} has {len(turns[column])}" for column in ANSWERS]
        message = f"numbers of turns differ: {', '.join(has)}"
        report.add("", "turn_mismatch", message)
        return None
    count = counts.pop()
    if not count:
        report.add("", "no_turns", "prompt and answers are lists of no turns")
        return None
    prompt, answer_a, answer_b = (turns[column] or ("",) * count for column in ANSWERS)
    return prompt, answer_a, answer_b


def _vote(cells: dict[str, object], layout: Layout, votes: Votes, report: RowReport) -> tuple[Vote | None, float]:
    """The vote and its margin; what cannot be read of them is in the report."""
    vote, margin = None, 0.0
    with report:
        if layout == "winner":
            column = "winner"
            vote = parse_winner(cell_text(column, cells.get(column)))
        else:
            column = WINNER_COLUMNS
            vote = parse_winner_columns(*(cell_text(winner, cells.get(winner)) for winner in WINNERS))
        if vote is None and votes == "required":
            raise UnreadableError(column, "no_vote", "no vote: a vote is needed here")
    with report:
        margin = parse_margin(cells.get(MARGIN), vote)
    return vote, margin
