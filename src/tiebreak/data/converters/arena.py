"""Chatbot Arena's sets of conversations: 33k, 100k, 140k, expert, and MT-bench's human judgments."""

from __future__ import annotations

from typing import Final

from tiebreak.data.cells import is_blank
from tiebreak.data.converters.converter import Cells, Converter, pick, read_list, read_number
from tiebreak.data.issues import UnreadableError
from tiebreak.data.message_content import read_message

_MT_BENCH_JUDGES: Final = ("expert_", "author_", "gpt4")


def _convert(cells: Cells, row_id: str) -> list[Cells]:
    turns = read_number("turn", cells.get("turn"))
    return [
        {
            **pick(cells, winner="winner", model_a="model_a", model_b="model_b"),
            **_id(cells, row_id),
            "prompt": None,
            "response_a": _conversation("conversation_a", cells.get("conversation_a"), turns),
            "response_b": _conversation("conversation_b", cells.get("conversation_b"), turns),
        }
    ]


def _id(cells: Cells, row_id: str) -> Cells:
    """The id of a vote. MT-bench has many votes on each of its questions, so the row number is added."""
    if "question_id" not in cells:
        return {}
    question = cells["question_id"]
    of_mt_bench = str(cells.get("judge", "")).startswith(_MT_BENCH_JUDGES) and not is_blank(question)
    return {"id": f"{question}/{row_id}" if of_mt_bench else question}


def _conversation(column: str, cell: object, turns: float | None) -> list[object]:
    """A conversation up to the turn that the vote is about: MT-bench has two turns, and votes on the first alone."""
    messages = read_list(column, cell)
    if not messages:
        raise UnreadableError(column, "no_turns", "is a list of no messages")
    if turns is None or turns < 1:
        return messages
    replies = [i for i, m in enumerate(messages, 1) if read_message(column, i, m)[0] == "assistant"]
    return messages if len(replies) <= turns else messages[: replies[int(turns) - 1]]


ARENA: Final = Converter(
    name="arena",
    title="Chatbot Arena, conversations",
    required=frozenset({"conversation_a", "conversation_b"}),
    reads={
        "response_a": "conversation_a",
        "response_b": "conversation_b",
        "winner": "winner",
        "id": "question_id",
        "model_a": "model_a",
        "model_b": "model_b",
    },
    more=frozenset({"judge", "turn"}),
    votes="model_a, model_b or tie; where both answers are bad, a tie with the tag tie_kind",
    convert=_convert,
)
