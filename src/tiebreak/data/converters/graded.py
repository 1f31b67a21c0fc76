"""HelpSteer2 and HelpSteer3: two answers and a signed strength of preference."""

from __future__ import annotations

import re
from typing import Final

from tiebreak.data.cells import check_not_printed, is_blank
from tiebreak.data.converters.converter import Cells, Converter, pick, read_number, reply, user
from tiebreak.data.messages import parse_messages

_VOTES: Final = "below 0: response_a is better; 0: a tie; above 0: response_b is better; the margin is its size"

_TURN: Final = re.compile(r"\n<extra_id_1>(User|Assistant)\n")
"""Begins each turn but the first in HelpSteer2's prompts, as in the template of Nemotron's models."""


def _turns(prompt: object) -> list[object]:
    """The messages of a prompt of HelpSteer2, a third of which are conversations in one text."""
    if not isinstance(prompt, str):
        return user(prompt)
    first, *parts = _TURN.split(prompt)
    roles = ("user" if name == "User" else "assistant" for name in parts[::2])
    return [*user(first), *({"role": r, "content": t} for r, t in zip(roles, parts[1::2], strict=True))]


def _vote(column: str, cell: object) -> Cells:
    """The winner and the margin: the loss of HelpSteer2-Preference (Wang et al. 2024, arXiv:2410.01257, section 3.2.1).

    A strength of -3 says that the first answer is much better, 3 that the second one is.
    """
    strength = read_number(column, cell)
    if strength is None:
        return {"winner": None}
    winner = "tie" if strength == 0 else "model_a" if strength < 0 else "model_b"
    return {"winner": winner, "margin": abs(strength)}


def _convert_helpsteer2(cells: Cells, _: str) -> list[Cells]:
    return [
        {
            "prompt": _turns(cells.get("prompt")),
            "response_a": reply(cells.get("response_1")),
            "response_b": reply(cells.get("response_2")),
            **_vote("preference_strength", cells.get("preference_strength")),
        }
    ]


def _convert_helpsteer3(cells: Cells, _: str) -> list[Cells]:
    context = cells.get("context")
    if isinstance(context, str):
        check_not_printed("context", context)
        messages = parse_messages("context", context, role="user")
        context = [{"role": role, "content": content} for role, content in messages]
    return [
        {
            **pick(cells, source="domain"),
            "prompt": None if is_blank(context) else context,
            "response_a": reply(cells.get("response1")),
            "response_b": reply(cells.get("response2")),
            **_vote("overall_preference", cells.get("overall_preference")),
        }
    ]


HELPSTEER2: Final = Converter(
    name="helpsteer2",
    title="HelpSteer2, preferences",
    required=frozenset({"prompt", "response_1", "response_2", "preference_strength"}),
    reads={
        "prompt": "prompt",
        "response_a": "response_1",
        "response_b": "response_2",
        "winner": "preference_strength",
    },
    votes=_VOTES,
    computed=frozenset({"margin"}),
    convert=_convert_helpsteer2,
)
HELPSTEER3: Final = Converter(
    name="helpsteer3",
    title="HelpSteer3, preferences",
    required=frozenset({"context", "response1", "response2", "overall_preference"}),
    reads={
        "prompt": "context",
        "response_a": "response1",
        "response_b": "response2",
        "winner": "overall_preference",
        "source": "domain",
    },
    votes=_VOTES,
    computed=frozenset({"margin"}),
    convert=_convert_helpsteer3,
)
