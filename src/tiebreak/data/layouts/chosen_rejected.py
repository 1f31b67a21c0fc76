"""Rows of chosen, rejected and optionally prompt."""

from __future__ import annotations

import json
from hashlib import blake2b

from tiebreak.data.cells import Turns
from tiebreak.data.issues import RowReport
from tiebreak.data.layouts.columns import CHOSEN_REJECTED_COLUMNS, MARGIN_COLUMN, WEIGHT_COLUMN
from tiebreak.data.layouts.conversations import clean_sides, parse_sides
from tiebreak.data.layouts.votes import parse_margin, parse_weight
from tiebreak.data.messages import ToolCalls
from tiebreak.types import A_WINS, Comparison


def parse_chosen_rejected(
    cells: dict[str, object], row_id: str, report: RowReport, tool_calls: ToolCalls = "refuse"
) -> Comparison | None:
    """The comparison in a row, or None with the reasons in the report.

    The chosen reply is A in half of the rows and B in the other half, since a judge trained on votes for A alone would
    learn the position only. A hash of the texts of the row decides, so a row has the same sides in every file and on
    every machine, independent of its id and of other rows.
    """
    sides = parse_sides(cells, CHOSEN_REJECTED_COLUMNS, report, tool_calls)
    margin, weight = 0.0, 1.0
    with report:
        margin = parse_margin(cells.get(MARGIN_COLUMN), A_WINS)
    with report:
        weight = parse_weight(cells.get(WEIGHT_COLUMN))
    if sides is None or report.is_unreadable():
        return None
    sides = clean_sides(cells, CHOSEN_REJECTED_COLUMNS, sides, report)
    if sides is None:
        return None
    comparison = Comparison(sides.prompt, *sides.answers, A_WINS, row_id, margin, system=sides.system, weight=weight)
    return comparison.swap() if places_second(sides.prompt, *sides.answers) else comparison


def places_second(*texts: Turns | str) -> bool:
    """Whether a hash of prompt and two answers puts the first answer on side B."""
    digest = blake2b(json.dumps(texts).encode(), digest_size=1).digest()
    return digest[0] % 2 == 1
