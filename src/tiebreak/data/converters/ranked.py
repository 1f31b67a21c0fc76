"""Lists of answers with ranks or scores, such as Nectar and UltraFeedback: every pair of a row is a comparison."""

from __future__ import annotations

from itertools import combinations
from typing import Final

from tiebreak.data.cells import is_blank
from tiebreak.data.converters.converter import Cells, Converter, read_list, read_number, reply, user
from tiebreak.data.issues import UnreadableError, short_repr
from tiebreak.data.layouts import places_second
from tiebreak.data.message_content import read_message
from tiebreak.data.transcripts import is_transcript, parse_transcript_prompt

_PROMPTS: Final = ("prompt", "instruction", "question", "query")
_LISTS: Final = ("answers", "responses", "completions", "candidates")
_TEXTS: Final = ("answer", "response", "text", "content", "completion", "output")
_RANKS: Final = ("rank", "ranks", "ranking", "rankings")
_ORDERS: Final = ("ranking", "rankings")
"""Next to a list of answers, these may hold ranks, or the numbers of the answers from the best to the worst."""
_SCORES: Final = (
    # UltraFeedback's overall_score is 10 in rows that mean 1; the mean of its four ratings is not.
    "fine-grained_score", "overall_score", "score", "scores", "rating", "ratings", "reward", "rewards",
)  # fmt: skip

_Answer = tuple[str, float, object]
"""Text, goodness (more is better), and the model that gave the answer."""


def _convert(cells: Cells, row_id: str) -> list[Cells]:
    prompt_column = next(name for name in _PROMPTS if name in cells)
    list_column = next((name for name in _LISTS if name in cells), _LISTS[0])
    answers = _read_answers(cells, list_column)
    prompt = cells[prompt_column]
    if isinstance(prompt, str) and is_transcript(prompt):
        prompt = [{"role": role, "content": content} for role, content in parse_transcript_prompt(prompt)]
    given = str(cells["id"]) if not is_blank(cells.get("id")) else row_id
    messages = user(prompt)
    text = prompt if isinstance(prompt, str) else _canonical(messages)
    return [
        {"id": f"{given}/{i + 1}-{j + 1}", "prompt": messages, **_pair(text, answers[i], answers[j])}
        for i, j in combinations(range(len(answers)), 2)
    ]


def _canonical(messages: list[object]) -> str:
    """A text that is the same in JSON and in Parquet, which orders the fields of objects and adds missing ones."""
    read = (read_message("prompt", number, message) for number, message in enumerate(messages, start=1))
    return str([{"role": role, "content": content} for role, content in read])


def _pair(prompt: str, first: _Answer, second: _Answer) -> Cells:
    """Two answers in an order that their texts decide, since lists are often sorted by rank."""
    a, b = (second, first) if places_second(prompt, first[0], second[0]) else (first, second)
    winner = "tie" if a[1] == b[1] else "model_a" if a[1] > b[1] else "model_b"
    return {
        "response_a": reply(a[0]),
        "response_b": reply(b[0]),
        "winner": winner,
        "model_a": a[2],
        "model_b": b[2],
    }


def _read_answers(cells: Cells, column: str) -> list[_Answer]:
    items = read_list(column, cells.get(column))
    if len(items) < 2:
        raise UnreadableError(column, "not_text", f"is {short_repr(items)}: a comparison needs two answers")
    if any(isinstance(item, dict) for item in items):
        ranking = _common_ranking(items)
        return [_read_item(f"{column}[{i}]", item, ranking) for i, item in enumerate(items)]
    ranking = next((name for name in (*_RANKS, *_SCORES) if not is_blank(cells.get(name))), "")
    if ranking in _ORDERS:
        message = "may hold the rank of each answer, or the answers in order: rename it to ranks if it holds ranks"
        raise UnreadableError(ranking, "no_vote", message)
    if not ranking:
        raise UnreadableError(
            column,
            "no_vote",
            f"has no ranks or scores: give a column {_RANKS[1]} or {_SCORES[3]}; tiebreak score needs none",
        )
    numbers = read_list(ranking, cells[ranking])
    if len(numbers) != len(items):
        raise UnreadableError(ranking, "no_vote", f"has {len(numbers)} numbers for {len(items)} answers")
    return [
        (_text(f"{column}[{i}]", item), _goodness(ranking, number), None)
        for i, (item, number) in enumerate(zip(items, numbers, strict=True))
    ]


def _common_ranking(items: list[object]) -> str:
    """The first rank or score that an answer has, and all need: two kinds of scores cannot be compared."""
    objects = [item for item in items if isinstance(item, dict)]
    return next((name for name in (*_RANKS, *_SCORES) if any(not is_blank(item.get(name)) for item in objects)), "")


def _read_item(column: str, item: object, ranking: str) -> _Answer:
    """An answer as an object with its text, its rank or score, and the model."""
    if isinstance(item, dict):
        text = next((name for name in _TEXTS if name in item), None)
        if text is not None and not is_blank(item.get(ranking)):
            return _text(column, item[text]), _goodness(f"{column}.{ranking}", item[ranking]), item.get("model")
    message = f"is {short_repr(item)}: expected an object with a text ({_TEXTS[0]}) and a {ranking or 'rank or score'}"
    raise UnreadableError(column, "not_text", message)


def _text(column: str, cell: object) -> str:
    if not isinstance(cell, str):
        raise UnreadableError(column, "not_text", f"is {short_repr(cell)}: expected text")
    return cell


def _goodness(column: str, cell: object) -> float:
    """More for a better answer: the first rank is the best, and the highest score."""
    number = read_number(column, cell)
    if number is None:
        raise UnreadableError(column, "no_vote", "is empty: expected a rank or a score")
    return -number if column.rpartition(".")[2] in _RANKS else number


def _converter(prompt: str, answers: str) -> Converter:
    known = {("prompt", "answers"): "nectar", ("instruction", "completions"): "ultrafeedback"}
    return Converter(
        name=known.get((prompt, answers), "ranked"),
        title=f"Ranked or scored {answers} to a {prompt}",
        required=frozenset({prompt, answers}),
        reads={"prompt": prompt, "response_a": answers, "response_b": answers},
        more=frozenset({*_RANKS, *_SCORES}),
        votes="all pairs of a list: a lower rank or a higher score is better, equal ones tie; texts decide the order",
        makes_ids=True,
        convert=_convert,
    )


RANKED: Final = tuple(_converter(prompt, answers) for prompt in _PROMPTS for answers in _LISTS)
