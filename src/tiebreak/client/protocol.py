"""What clients send: bodies of requests, and how many rows go into one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

from tiebreak.client.responses import ServedLimits, ServedModel, parse_answer, parse_score
from tiebreak.client.transport import Request
from tiebreak.errors import ComparisonsError, ModelError, ServerError
from tiebreak.judges.answer_order import Swap, check_rankable_swap, least_certain, mean_verdict, swapped_count
from tiebreak.judges.prompts import Answer, Prompt, as_ranking_rows
from tiebreak.judges.verdicts import Score, Verdict, probability_array
from tiebreak.types import Comparison, Conversation
from tiebreak.unicode import replace_invalid_characters

T = TypeVar("T")
TIMEOUT: Final = 240.0
"""Seconds: longer than a server needs to give up a request."""
RETRIES: Final = 5
"""About ten seconds in all, if the server requests no longer waits."""
AT_ONCE: Final = 4
"""Concurrent requests of a call: the server receives the next ones while it answers the first."""
ROWS_PER_REQUEST: Final = 64
"""At most; a slow server answers so many in time."""
ENVELOPE_BYTES: Final = 1024
"""Of a body for everything but rows, at most."""
TOO_MUCH: Final = ("too_large", "timed_out")
"""Types of errors that a smaller request may avoid."""

MODEL_REQUEST: Final = Request("GET", "/v1/model")
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class BatchCall(Generic[T]):
    """A path that takes many rows, and answers with a result for each."""

    path: str
    rows_key: str
    results_key: str
    parse: Callable[[Any], T]
    """Of one result; raises KeyError or TypeError for anything else."""
    texts_per_row: int
    """Texts that the server reads for a row."""
    options: Mapping[str, str] = field(default_factory=dict)

    def request(self, rows: Sequence[str]) -> Request:
        """A request with some rows, each as JSON."""
        return Request("POST", self.path, batch_body(self.rows_key, rows, self.options))

    def parse_results(self, answer: Any, count: int, url: str) -> list[T]:
        """The results of a request with `count` rows.

        Raises:
            ServerError: the answer is not one to this request.
        """

        def parse(answer: Any) -> list[T]:
            results = answer[self.results_key]
            if len(results) != count:
                raise ValueError(f"{len(results)} results for {count} rows")
            return [self.parse(result) for result in results]

        return parse_answer(parse, answer, url)

    def split(self, rows: Sequence[str], limits: ServedLimits, at_once: int) -> list[Sequence[str]]:
        """Rows in parts that fit into the server's limits."""
        # Concurrent requests have to fit into the queue together, or they would keep each other out.
        queue_share = limits.queue // (self.texts_per_row * at_once)
        count = max(1, min(ROWS_PER_REQUEST, limits.texts // self.texts_per_row, queue_share))
        return list(split_rows(rows, count, limits.body_bytes - ENVELOPE_BYTES))


def check_at_once(at_once: int) -> int:
    """The number of concurrent requests.

    Raises:
        ValueError: it is less than 1.
    """
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}: give at least 1")
    return at_once


def compare_call(model: ServedModel, swap: Literal["none", "average"], parse: Callable[[Any], T]) -> BatchCall[T]:
    """Comparisons, in one order or both."""
    texts = texts_read(model, 1, swap)
    return BatchCall("/v1/compare/batch", "comparisons", "verdicts", parse, texts, {"swap": swap})


def score_call(model: ServedModel, url: str) -> BatchCall[Score]:
    """Answers to score.

    Raises:
        ModelError: the judge scores no single answers.
    """
    if not model.gives_rewards:
        raise ModelError(
            f"{model.name} at {url} is a pairwise judge and cannot score a single answer. Compare or rank several, or "
            "serve a run that was trained with model.head=pointwise."
        )
    return BatchCall("/v1/score/batch", "conversations", "scores", parse_score, 1)


def rank_requests(
    rows: Sequence[tuple[Prompt, Sequence[Answer]]], systems: Sequence[str] | None, swap: Swap
) -> list[Request]:
    """A request for each prompt and its answers.

    Raises:
        TypeError, ValueError, ComparisonsError: as in `Judge.rank_many`.
    """
    check_rankable_swap(swap)
    bodies = []
    for number, (prompt, answers, system) in enumerate(as_ranking_rows(rows, systems)):
        if not answers:
            raise ComparisonsError(f"Prompt {number} has no answers. Give at least one to each prompt.")
        # Validates the numbers of turns.
        sides = [Conversation(prompt, answer, system) for answer in answers]
        bodies.append(_prompt(sides[0]) | {"answers": [side.answer for side in sides], "swap": swap})
    return [Request("POST", "/v1/rank", to_json(body).encode()) for body in bodies]


def can_halve(error: ServerError, rows: Sequence[str]) -> bool:
    """Whether two requests with half of the rows may succeed where the server, or a proxy, found one too large."""
    return len(rows) > 1 and (error.status == 413 or error.type in TOO_MUCH)


def is_symmetric(model: ServedModel) -> bool:
    """As `Judge.is_symmetric`."""
    return model.kind in ("pointwise", "classical")


def texts_read(model: ServedModel, comparisons: int, swap: Swap) -> int:
    """As `Judge.texts`; a blend, whose members are unknown, counts as one pairwise judge."""
    swapped = swapped_count(comparisons, swap)
    return comparisons * (1 + model.gives_rewards) + (0 if is_symmetric(model) else swapped)


def uncertain_rows(model: ServedModel, verdicts: Sequence[Verdict], swap: Swap) -> list[int]:
    """Which comparisons `swap="uncertain:SHARE"` judges in the other order too."""
    if not verdicts or is_symmetric(model):
        return []
    rows: list[int] = least_certain(probability_array(verdicts), swapped_count(len(verdicts), swap)).tolist()
    return rows


def average_rows(verdicts: Sequence[Verdict], rows: Sequence[int], swapped: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts in which those of `rows` are the mean with their verdicts in the other order."""
    averaged = list(verdicts)
    for row, verdict in zip(rows, swapped, strict=True):
        averaged[row] = mean_verdict(averaged[row], verdict)
    return averaged


def to_json(value: Any) -> str:
    """JSON that UTF-8 can encode, whatever the texts contain."""
    return replace_invalid_characters(json.dumps(value, ensure_ascii=False, separators=(",", ":")))[0]


def comparison_json(comparison: Comparison) -> str:
    """A comparison, as the server reads it."""
    return to_json(_prompt(comparison) | {"answers": [comparison.answer_a, comparison.answer_b]})


def conversation_json(conversation: Conversation) -> str:
    """A prompt and an answer, as the server reads them."""
    return to_json(_prompt(conversation) | {"answer": conversation.answer})


def _prompt(row: Comparison | Conversation) -> dict[str, Any]:
    """The fields of a prompt and its system message."""
    return {"prompt": row.user_turns} | ({"system": row.system} if row.system else {})


def batch_body(key: str, rows: Sequence[str], options: Mapping[str, str]) -> bytes:
    """The body of a request: rows, which are JSON already, under a key, and options.

    >>> batch_body("pairs", ["1", "2"], {"swap": "none"})
    b'{"pairs":[1,2],"swap":"none"}'
    """
    rest = "".join(f",{to_json(name)}:{to_json(value)}" for name, value in options.items())
    return f"{{{to_json(key)}:[{','.join(rows)}]{rest}}}".encode()


def split_rows(rows: Sequence[str], count: int, size: int) -> Iterator[Sequence[str]]:
    """Rows in parts of at most `count` rows and `size` bytes; a row larger than that is a part of its own.

    >>> [list(part) for part in split_rows(["1234", "12", "12", "1", "1", "1"], 3, 6)]
    [['1234'], ['12', '12'], ['1', '1', '1']]
    """
    first, part_bytes = 0, 0
    for number, row in enumerate(rows):
        row_bytes = len(row.encode()) + 1  # with its comma
        if number > first and (number - first == count or part_bytes + row_bytes > size):
            yield rows[first:number]
            first, part_bytes = number, 0
        part_bytes += row_bytes
    if rows:
        yield rows[first:]
