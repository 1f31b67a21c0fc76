"""Numbers in messages."""

from __future__ import annotations


def pluralize(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless the number is 1.

    >>> pluralize(1, "row"), pluralize(1234, "row")
    ('1 row', '1,234 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
