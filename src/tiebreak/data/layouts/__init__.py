"""The layouts of files: which columns they have, and how a row of each makes a comparison or candidates to score."""

from tiebreak.data.layouts.chosen_rejected import parse_chosen_rejected
from tiebreak.data.layouts.columns import (
    CHOSEN_REJECTED_COLUMNS,
    KNOWN_COLUMNS,
    MARGIN_COLUMN,
    MODEL_COLUMNS,
    TAG_COLUMNS,
    TEXT_COLUMNS,
    WEIGHT_COLUMN,
    WINNER_COLUMNS,
    Layout,
    Votes,
    recognise_layout,
)
from tiebreak.data.layouts.responses import Candidates, CandidatesFile, read_candidates
from tiebreak.data.layouts.side_by_side import parse_side_by_side
from tiebreak.data.layouts.unread_columns import UnreadColumn, unread_columns

__all__ = [
    "CHOSEN_REJECTED_COLUMNS",
    "KNOWN_COLUMNS",
    "MARGIN_COLUMN",
    "MODEL_COLUMNS",
    "TAG_COLUMNS",
    "TEXT_COLUMNS",
    "WEIGHT_COLUMN",
    "WINNER_COLUMNS",
    "Candidates",
    "CandidatesFile",
    "Layout",
    "UnreadColumn",
    "Votes",
    "parse_chosen_rejected",
    "parse_side_by_side",
    "read_candidates",
    "recognise_layout",
    "unread_columns",
]
