"""Numbers in sentences."""

from __future__ import annotations


def pluralize(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "row"), counted(1234, "row")
    ('1 row', '1,234 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
