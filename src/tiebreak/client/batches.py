"""Rows -> requests that a server takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tiebreak.data.unicode import replace_lone_surrogates
from tiebreak.types import Comparison, Conversation

ROWS: Final = 64
"""Of a request, at most: small enough to be answered in time by a slow server."""


def to_json(value: Any) -> str:
    """JSON that UTF-8 can hold, whatever the texts hold."""
    return replace_lone_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":")))[0]


def pair(comparison: Comparison) -> str:
    """A comparison as the server reads it."""
    return to_json({"prompt": comparison.prompt, "answers": [comparison.answer_a, comparison.answer_b]})


def candidate(conversation: Conversation) -> str:
    """A prompt and one answer as the server reads them."""
    return to_json({"prompt": conversation.prompt, "answer": conversation.answer})


def body(name: str, rows: Sequence[str], options: Mapping[str, Any]) -> bytes:
    """A request's body: rows under a name, and what else it says.

    >>> body("pairs", ["1", "2"], {"swap": "none"})
    b'{"pairs":[1,2],"swap":"none"}'
    """
    told = "".join(f",{to_json(key)}:{to_json(value)}" for key, value in options.items())
    return f"{{{to_json(name)}:[{','.join(rows)}]{told}}}".encode()


def split(rows: Sequence[str], count: int, size: int) -> Iterator[Sequence[str]]:
    """Rows in parts of at most `count` of them and `size` bytes; what is larger alone goes alone.

    >>> [list(part) for part in split(["1234", "12", "12", "1", "1", "1"], 3, 6)]
    [['1234'], ['12', '12'], ['1', '1', '1']]
    """
    first, bytes_so_far = 0, 0
    for number, row in enumerate(rows):
        more = len(row.encode()) + 1  # and the comma
        if number > first and (number - first == count or bytes_so_far + more > size):
            yield rows[first:number]
            first, bytes_so_far = number, 0
        bytes_so_far += more
    if rows:
        yield rows[first:]
