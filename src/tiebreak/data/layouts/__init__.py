"""The layouts of files: which columns they have, and how a row of each makes a comparison or candidates to score."""

from tiebreak.data.layouts.chosen_rejected import parse_chosen_rejected, places_second
from tiebreak.data.layouts.columns import (
    CHOSEN_REJECTED_COLUMNS,
    KNOWN_COLUMNS,
    MARGIN_COLUMN,
    MODEL_COLUMNS,
    SYSTEM_COLUMN,
    TAG_COLUMNS,
    TEXT_COLUMNS,
    WEIGHT_COLUMN,
    WINNER_COLUMNS,
    Layout,
    Votes,
    check_prompt,
    is_native,
    recognise_layout,
)
from tiebreak.data.layouts.side_by_side import parse_side_by_side
from tiebreak.data.layouts.unread_columns import UnreadColumn, read_columns, unread_columns

__all__ = [
    "CHOSEN_REJECTED_COLUMNS",
    "KNOWN_COLUMNS",
    "MARGIN_COLUMN",
    "MODEL_COLUMNS",
    "SYSTEM_COLUMN",
    "TAG_COLUMNS",
    "TEXT_COLUMNS",
    "WEIGHT_COLUMN",
    "WINNER_COLUMNS",
    "Layout",
    "UnreadColumn",
    "Votes",
    "check_prompt",
    "is_native",
    "parse_chosen_rejected",
    "parse_side_by_side",
    "places_second",
    "read_columns",
    "recognise_layout",
    "unread_columns",
]
