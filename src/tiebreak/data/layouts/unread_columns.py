"""Columns of a file that are not read, and what to do about those that look as if they should be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from tiebreak.data.layouts.columns import (
    CHOSEN_REJECTED_COLUMNS,
    KNOWN_COLUMNS,
    MARGIN_COLUMN,
    MODEL_COLUMNS,
    TEXT_COLUMNS,
    WEIGHT_COLUMN,
    WINNER_COLUMNS,
    Layout,
)

_CLOSE: Final = 0.8
"""Least similarity of a name to that of a known column (`difflib`)."""

_VOTES: Final = "votes are read from winner (model_a, model_b, tie) or from winner_model_a, winner_model_b, winner_tie"
_MARGIN: Final = "how much better the preferred answer is, is read from margin"
_HINTS: Final = (
    (r"(sample_?|row_?|case_?)?weights?", f"rename it to {WEIGHT_COLUMN}, if it is how much a row counts"),
    (r"label|labels|preference|preferred|vote|votes|verdict|choice|better|target|annotation", _VOTES),
    (r"is_?tie|tie|ties|draw", _VOTES),
    (r"(score|rating|reward)s?(_(a|b|chosen|rejected|difference|diff|margin))?", _MARGIN),
    (r"(chosen|rejected)_(score|rating|reward)s?|strength|confidence|gap", _MARGIN),
    (r"system_?(prompt|message)s?|systems", "rename it to system"),
    (r"history|context", "put earlier turns into prompt, as a list of turns or messages"),
    (r"lang|locale", "the language for slices is read from language"),
    (r"dataset|subset|category|task", "the source for slices is read from source"),
)
"""Patterns of names that often hold what Tiebreak reads under another name, and that name."""


@dataclass(frozen=True, slots=True)
class UnreadColumn:
    """A column of a file that is not read."""

    name: str
    hint: str
    """What is read instead; empty if the name does not look like anything that is."""


def unread_columns(columns: Sequence[str], layout: Layout) -> tuple[UnreadColumn, ...]:
    """The columns of a file that its layout does not read, in their order.

    Args:
        columns: all columns of the file.
        layout: as `recognise_layout` found it.
    """
    read = read_columns(layout)
    return tuple(
        UnreadColumn(name, _hint(name, layout, sorted(read.difference(columns))))
        for name in columns
        if name not in read
    )


def read_columns(layout: Layout) -> set[str]:
    """All columns that a layout reads, if a file has them."""
    read = set(KNOWN_COLUMNS)
    if layout == "chosen-rejected":
        return read - {"response_a", "response_b", *WINNER_COLUMNS, "winner", *MODEL_COLUMNS}
    read -= {*CHOSEN_REJECTED_COLUMNS}
    if layout == "winner":
        return read - {*WINNER_COLUMNS}
    if layout == "unlabelled":
        return read - {*WINNER_COLUMNS, "winner", MARGIN_COLUMN, WEIGHT_COLUMN}
    return read - {"winner"}


def _hint(name: str, layout: Layout, missing: Sequence[str]) -> str:
    if name in KNOWN_COLUMNS:
        texts = "chosen and rejected" if layout == "chosen-rejected" else "response_a and response_b"
        if name == "winner" and layout in ("lmsys", "soft"):
            return "the votes are read from winner_model_a, winner_model_b, winner_tie"
        if name in WINNER_COLUMNS and layout == "winner":
            return "the votes are read from winner"
        return f"a file with {texts} {'and no votes ' if layout == 'unlabelled' else ''}does not use it"
    folded = re.sub(r"[\s.-]+", "_", name.strip()).casefold()
    for pattern, hint in _HINTS:
        if re.fullmatch(pattern, folded):
            mapped = f". To read this one, give --map winner={name} and for each value winner.VALUE=model_a"
            return hint + mapped if hint is _VOTES and layout == "unlabelled" else hint
    nearest = get_close_matches(folded, [column for column in missing if column not in TEXT_COLUMNS], 1, _CLOSE)
    return f"rename it to {nearest[0]}, if it is meant" if nearest else ""
