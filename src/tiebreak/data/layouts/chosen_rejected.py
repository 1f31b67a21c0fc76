"""Rows of chosen, rejected and optionally prompt."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Final

from tiebreak.data.cells import PYTHON_LIST_NOTE, Turns, clean_texts, decode_cell, is_blank, looks_like_python_repr
from tiebreak.data.issues import RowReport
from tiebreak.data.layouts.columns import CHOSEN_REJECTED_COLUMNS, MARGIN_COLUMN, WEIGHT_COLUMN
from tiebreak.data.layouts.votes import parse_margin, parse_weight
from tiebreak.data.message_content import Message
from tiebreak.data.messages import parse_messages, parse_side, system_message
from tiebreak.types import A_WINS, Comparison
from tiebreak.unicode import clean_text

_MESSAGE_COLUMNS: Final = (*CHOSEN_REJECTED_COLUMNS, "prompt")
"""Whole conversations count before the prompt, as in `parse_side`."""
Side = tuple[Turns, Turns]
"""The user's turns and the replies to them."""


def parse_chosen_rejected(cells: dict[str, object], row_id: str, report: RowReport) -> Comparison | None:
    """The comparison in a row, or None with the reasons in the report.

    The chosen reply is A in half of the rows and B in the other half, since a judge trained on votes for A alone would
    learn the position only. A hash of the texts of the row decides, so a row has the same sides in every file and on
    every machine, independent of its id and of other rows.
    """
    messages = _parse_messages(cells, report)
    sides = None if messages is None else _parse_sides(messages, report)
    margin, weight = 0.0, 1.0
    with report:
        margin = parse_margin(cells.get(MARGIN_COLUMN), A_WINS)
    with report:
        weight = parse_weight(cells.get(WEIGHT_COLUMN))
    if messages is None or sides is None or report.is_unreadable():
        return None
    (prompt, chosen), (_, rejected) = sides
    prompt, chosen, rejected = clean_texts(("prompt", *CHOSEN_REJECTED_COLUMNS), (prompt, chosen, rejected), report)
    system = clean_text(system_message(*(messages[name] for name in _MESSAGE_COLUMNS)))
    comparison = Comparison(prompt, chosen, rejected, A_WINS, row_id, margin, system=system, weight=weight)
    return comparison.swap() if _chosen_is_b(prompt, chosen, rejected) else comparison


def _chosen_is_b(*texts: Turns) -> bool:
    digest = blake2b(json.dumps(texts).encode(), digest_size=1).digest()
    return digest[0] % 2 == 1


def _parse_messages(cells: dict[str, object], report: RowReport) -> dict[str, tuple[Message, ...]] | None:
    """The messages of each column; None if one cannot be read."""
    messages: dict[str, tuple[Message, ...]] = {}
    for column, role in (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant")):
        with report:
            cell = decode_cell(column, cells.get(column))
            if looks_like_python_repr(cell):
                report.add(column, "lists_as_text", PYTHON_LIST_NOTE)
            blank = is_blank(cell) and column != "prompt"
            messages[column] = () if blank else parse_messages(column, cell, role=role)
    return None if report.is_unreadable() else messages


def _parse_sides(messages: dict[str, tuple[Message, ...]], report: RowReport) -> tuple[Side, Side] | None:
    """The chosen and the rejected side, which reply to the same prompt."""
    sides = _parse_conversations(messages, report)
    if report.is_unreadable():
        return None
    nonempty = sides.get("chosen") or sides["rejected"]
    empty = (nonempty[0], (*nonempty[1][:-1], ""))
    chosen, rejected = sides.get("chosen", empty), sides.get("rejected", empty)
    if chosen[0] == rejected[0]:
        return chosen, rejected
    turns = len(chosen[0]), len(rejected[0])
    if turns[0] != turns[1]:
        report.add("", "turn_mismatch", f"numbers of turns differ: chosen has {turns[0]}, rejected has {turns[1]}")
    else:
        report.add("", "prompt_mismatch", "chosen and rejected reply to different prompts")
    return None


def _parse_conversations(messages: dict[str, tuple[Message, ...]], report: RowReport) -> dict[str, Side]:
    """The sides that have a reply. If neither has, the chosen side with an empty reply, which holds the prompt."""
    replies = {column: messages[column] for column in CHOSEN_REJECTED_COLUMNS if messages[column]}
    sides: dict[str, Side] = {}
    for column, reply in (replies or {"chosen": (("assistant", ""),)}).items():
        with report:
            sides[column] = parse_side(column, messages["prompt"], reply)
    return sides
