"""Rows of chosen, rejected and optionally prompt."""

from __future__ import annotations

import json
from hashlib import blake2b

from tiebreak.data.cells import Turns, clean_texts
from tiebreak.data.issues import RowReport
from tiebreak.data.layouts.columns import CHOSEN_REJECTED_COLUMNS, MARGIN_COLUMN
from tiebreak.data.layouts.conversations import parse_sides
from tiebreak.data.layouts.votes import parse_margin
from tiebreak.types import A_WINS, Comparison


def parse_chosen_rejected(cells: dict[str, object], row_id: str, report: RowReport) -> Comparison | None:
    """The comparison in a row, or None with the reasons in the report.

    The chosen reply is A in half of the rows and B in the other half, since a judge trained on votes for A alone would
    learn the position only. A hash of the texts of the row decides, so a row has the same sides in every file and on
    every machine, independent of its id and of other rows.
    """
    sides = parse_sides(cells, CHOSEN_REJECTED_COLUMNS, report)
    margin = 0.0
    with report:
        margin = parse_margin(cells.get(MARGIN_COLUMN), A_WINS)
    if sides is None or report.is_unreadable():
        return None
    texts = (sides.prompt, sides.first, sides.second)
    prompt, chosen, rejected = clean_texts(("prompt", *CHOSEN_REJECTED_COLUMNS), texts, report)
    comparison = Comparison(prompt, chosen, rejected, A_WINS, row_id, margin, system=sides.system)
    return comparison.swap() if places_second(prompt, chosen, rejected) else comparison


def places_second(*texts: Turns | str) -> bool:
    """Whether a hash of prompt and two answers puts the first answer on side B."""
    digest = blake2b(json.dumps(texts).encode(), digest_size=1).digest()
    return digest[0] % 2 == 1
