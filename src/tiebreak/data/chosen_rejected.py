"""A row of chosen and rejected, and perhaps a prompt -> a comparison, on either side of which the chosen may be."""

from __future__ import annotations

import json
from hashlib import blake2b

from tiebreak.data.cells import PRINTED_BY_PYTHON, cell_text, is_blank, looks_like_python_repr, parse_margin
from tiebreak.data.layouts import MARGIN, PAIR
from tiebreak.data.messages import Message, parse_messages, parse_side
from tiebreak.data.row_report import RowReport
from tiebreak.data.texts import Turns, repaired
from tiebreak.types import A_WINS, Comparison

Side = tuple[Turns, Turns]
"""What the user said, and what was replied to it."""


def parse_chosen_rejected(cells: dict[str, object], row_id: str, report: RowReport) -> Comparison | None:
    """The comparison in a row, or None with the reasons in the report.

    The chosen reply is A in one half of the rows and B in the other: a judge trained on votes for A alone would
    learn nothing but the position. A hash of the row's texts decides, so a row falls on the same side in every
    file, on every machine, whatever its neighbours and its id.
    """
    sides = _sides(cells, report)
    margin = 0.0
    with report:
        margin = parse_margin(cells.get(MARGIN), A_WINS)
    if sides is None or report.unreadable():
        return None
    (prompt, chosen), (_, rejected) = sides
    prompt, chosen, rejected = repaired(("prompt", *PAIR), (prompt, chosen, rejected), report)
    comparison = Comparison(prompt, chosen, rejected, A_WINS, row_id, margin)
    return comparison.swap() if _to_swap(prompt, chosen, rejected) else comparison


def _to_swap(*texts: Turns) -> bool:
    digest = blake2b(json.dumps(texts).encode(), digest_size=1).digest()
    return digest[0] % 2 == 1


def _sides(cells: dict[str, object], report: RowReport) -> tuple[Side, Side] | None:
    messages: dict[str, tuple[Message, ...]] = {}
    for column, role in (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant")):
        with report:
            cell = cell_text(column, cells.get(column))
            if looks_like_python_repr(cell):
                report.add(column, "lists_as_text", PRINTED_BY_PYTHON)
            blank = is_blank(cell) and column != "prompt"
            messages[column] = () if blank else parse_messages(column, cell, role=role)
    if report.unreadable():
        return None
    found = _conversations(messages, report)
    if report.unreadable():
        return None
    known = found.get("chosen") or found["rejected"]
    silent = (known[0], (*known[1][:-1], ""))
    chosen, rejected = found.get("chosen", silent), found.get("rejected", silent)
    if chosen[0] == rejected[0]:
        return chosen, rejected
    turns = len(chosen[0]), len(rejected[0])
    if turns[0] != turns[1]:
        report.add("", "turn_mismatch", f"numbers of turns differ: chosen has {turns[0]}, rejected has {turns[1]}")
    else:
        report.add("", "prompt_mismatch", "chosen and rejected reply to different prompts")
    return None


def _conversations(messages: dict[str, tuple[Message, ...]], report: RowReport) -> dict[str, Side]:
    """The sides that have a reply; if neither has, an empty one for chosen, to hold the prompt."""
    replies = {column: messages[column] for column in PAIR if messages[column]}
    found: dict[str, Side] = {}
    for column, reply in (replies or {"chosen": (("assistant", ""),)}).items():
        with report:
            found[column] = parse_side(column, messages["prompt"], reply)
    return found
