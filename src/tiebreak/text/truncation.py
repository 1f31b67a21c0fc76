"""Cut a comparison, or one side of it, to a token budget, and keep the parts that matter most for the vote.

    1. Whole turns are dropped first, the oldest first, until the rest fits or only the closing turn is left.
    2. Then the texts of the closing turn are shortened: the longer answer first, down to a common cap, and the prompt
       only if it takes more than half of the room and the answers need it. A shortened text keeps equal parts of its
       beginning and end, since they say more about an answer than its middle.

The whole rendered text is counted, for a comparison in both orders of the answers. So the cut of the swapped comparison
is the swapped cut, and every runtime that tokenises the same text gets the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, Self, TypeVar

import numpy as np

from tiebreak.errors import RecipeError
from tiebreak.text.tokenization import ROWS_PER_BATCH, Ids, rust_tokenizer, token_ids
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerFast

    _T = TypeVar("_T")
    _Steps = Generator[list[str], Sequence[Encoding], _T]
    """A computation that yields texts and receives their tokens, so that many of them share each batch."""

TRUNCATION_MARK: Final = " [...] "
"""Stands between the beginning and the end of a shortened text."""

_MIN_TOKENS: Final = 8
"""The minimum number of tokens of each text; a smaller budget is an error before any row is read."""


class Truncatable(Protocol):
    """A row that can be rendered and cut: a comparison, or one side of it."""

    @property
    def prompt(self) -> tuple[str, ...]:
        """The user's turns."""

    @property
    def orders(self) -> tuple[Self, ...]:
        """The orders to read it in, itself first."""

    @property
    def closing(self) -> tuple[str, ...]:
        """The texts of the last turn, the prompt first."""

    @property
    def close_with(self) -> Callable[..., Self]:
        """Returns the same row with another last turn, of as many texts."""

    @property
    def system(self) -> str:
        """The system message, which the prompt begins with; empty if there is none."""

    def without_system(self) -> Self:
        """The same row without its system message."""

    def map_texts(self, change: Callable[[str], str]) -> Self:
        """The same row with every text changed."""


TruncatableT = TypeVar("TruncatableT", bound=Truncatable)


class TextTemplate(Protocol[TruncatableT]):
    """A template that renders rows."""

    @property
    def text(self) -> str:
        """The template, with its slots."""

    @property
    def adds_special_tokens(self) -> bool:
        """Whether the tokenizer adds its special tokens around the text; a chat template writes them itself."""

    @property
    def markers(self) -> frozenset[str]:
        """Added tokens that the template writes, special or not; those of slots are only the special ones."""

    @property
    def empty_row(self) -> TruncatableT:
        """A row that leaves the slots empty."""

    @property
    def empty_dialogues(self) -> tuple[TruncatableT, ...]:
        """Rows of two turns, of which the last is empty."""

    def outline(self, row: TruncatableT, /, *, turns_dropped: int = 0) -> TruncatableT:
        """A row of harmless texts for which the template writes the same special tokens."""

    def render(self, row: TruncatableT, /, *, turns_dropped: int = 0) -> str:
        """The whole text that the model reads."""


Offsets = Sequence[tuple[int, int]]
"""For each token of a text the characters that it covers, as [first, end)."""


@dataclass(frozen=True, slots=True, eq=False)
class TruncatedRow(Generic[TruncatableT]):
    """A row with its closing texts shortened, and the number of oldest turns to leave out when it is rendered."""

    row: TruncatableT
    turns_dropped: int
    ids: Ids
    """[tokens] of the rendered text, without the BOS."""


class Truncator(Generic[TruncatableT]):
    """Cuts rows to `max_length` tokens of rendered text, including `added_tokens` (a BOS).

    Raises:
        RecipeError: `max_length` does not hold the template and 8 tokens of each text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        template: TextTemplate[TruncatableT],
        *,
        max_length: int,
        added_tokens: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._max_length = max_length
        self._budget = max_length - added_tokens
        shortest = [template.render(template.empty_row)]
        shortest += [template.render(row, turns_dropped=1) for row in template.empty_dialogues]  # with marks
        *sizes, self._mark_tokens = (ids.size for ids in token_ids(tokenizer, [*shortest, TRUNCATION_MARK]))
        needed = added_tokens + len(template.empty_row.closing) * max(_MIN_TOKENS, self._mark_tokens + 2)
        self._advised = needed + max(sizes)
        """A length that holds every row, with the marks of dropped turns."""
        if max_length < needed + sizes[0]:
            raise RecipeError(
                f"max_length is {max_length} tokens, but the template alone takes {sizes[0] + added_tokens}, and part "
                f"of the prompt and of each answer must fit too: set max_length to {self._advised} or more, or shorten "
                "the template"
            )

    def __call__(self, rows: Sequence[TruncatableT], uncut: Sequence[Ids]) -> list[TruncatedRow[TruncatableT]]:
        """Cut each row by the rules above. A row that fits in every order of its answers is returned unchanged.

        Args:
            rows: to cut.
            uncut: token ids of their rendered texts, without the BOS.

        Raises:
            RecipeError: not even the closing turn with empty texts fits. This happens only close to the minimum of
                `max_length`, through the marks of dropped turns or a tokenizer that splits text at the template.
        """
        truncated: list[TruncatedRow[TruncatableT]] = []
        for start in range(0, len(rows), ROWS_PER_BATCH):
            batch = slice(start, start + ROWS_PER_BATCH)
            steps = [self._cut(row, ids) for row, ids in zip(rows[batch], uncut[batch], strict=True)]
            truncated += _run_batched(steps, self._tokenizer)
        return truncated

    def _cut(self, row: TruncatableT, uncut: Ids) -> _Steps[TruncatedRow[TruncatableT]]:
        if uncut.size <= self._budget:  # fits as given: only the other order, if any, has to be counted
            others = [self._template.render(order) for order in row.orders[1:]]
            encodings = (yield others) if others else []
            if all(len(encoding) <= self._budget for encoding in encodings):
                return TruncatedRow(row, 0, uncut)
        turns = len(row.prompt)
        for dropped in range(1, turns):
            truncated, excess = yield from self._measure(row, dropped)
            if excess <= 0:
                return truncated
        return (yield from self._shorten_closing_turn(row, turns - 1))

    def _measure(self, row: TruncatableT, dropped: int) -> _Steps[tuple[TruncatedRow[TruncatableT], int]]:
        """The row without its oldest turns, and the tokens by which its longest order exceeds the budget."""
        encodings = yield [self._template.render(order, turns_dropped=dropped) for order in row.orders]
        truncated = TruncatedRow(row, dropped, np.array(encodings[0].ids, dtype=np.int32))
        return truncated, max(map(len, encodings)) - self._budget

    def _shorten_closing_turn(self, row: TruncatableT, dropped: int) -> _Steps[TruncatedRow[TruncatableT]]:
        """The row without its earlier turns, with its closing texts cut so that it fits.

        Texts are cut by their own tokens, which may merge or split next to the template. So the rendered text is
        counted, and its excess is subtracted from the room. The loop ends because the room is an integer that
        decreases in every round.
        """
        texts = row.closing
        empty = row.close_with(*("" for _ in texts))
        rendered = [self._template.render(item, turns_dropped=dropped) for item in (empty, empty.without_system())]
        *encodings, template_encoding, without_system = yield [*texts, *rendered]
        if (
            len(row.prompt) > 1 and len(template_encoding) > self._budget // 2
        ):  # a long system message gives way to the closing turn
            row, template_encoding = row.without_system(), without_system
        offsets = [encoding.offsets for encoding in encodings]
        lengths = [len(text_offsets) for text_offsets in offsets]
        room = self._budget - len(template_encoding)
        while room > 0:
            caps = _allocate(room, *lengths)
            shortened = map(_head_and_tail, texts, offsets, caps, [self._mark_tokens] * len(texts))
            truncated, excess = yield from self._measure(row.close_with(*shortened), dropped)
            if excess <= 0:
                return truncated
            room = min(room, sum(map(min, lengths, caps))) - excess
        name = f"comparison {row.id!r}" if isinstance(row, Comparison) else "a conversation"
        raise RecipeError(
            f"max_length of {self._max_length} tokens leaves no room for the closing turn of {name}: set max_length to "
            f"{max(self._advised, self._max_length + 1)} or more"
        )


def _run_batched(rows: Sequence[_Steps[_T]], tokenizer: PreTrainedTokenizerFast) -> list[_T]:
    """Run all computations to their ends, in steps, and tokenise the texts of all of them in one batch per step.

    Both orders of a comparison yield the same texts; each text is tokenised once.
    """
    results: dict[int, _T] = {}
    texts: dict[int, list[str]] = {}
    encodings: dict[str, Encoding] = {}
    running = list(range(len(rows)))
    while running:
        for index in running:
            try:
                row = rows[index]
                texts[index] = row.send([encodings[text] for text in texts[index]]) if index in texts else next(row)
            except StopIteration as stop:
                results[index] = stop.value
        running = [index for index in running if index not in results]
        batch = list(dict.fromkeys(text for index in running for text in texts[index]))
        encodings = dict(
            zip(batch, rust_tokenizer(tokenizer).encode_batch(batch, add_special_tokens=False), strict=True)
        )
    return [results[index] for index in range(len(rows))]


def _allocate(room: int, prompt: int, *answers: int) -> tuple[int, ...]:
    """Caps, in tokens, for the closing prompt and its one or two answers, given their lengths.

    Both answers get the same cap (water-filling), so it cannot prefer a side; an odd token is left unused.

    >>> _allocate(100, 20, 70, 30)  # the longer answer is cut, the prompt and the shorter one are not
    (50, 50, 50)
    >>> _allocate(100, 20, 70, 60)  # both are cut to the same length
    (50, 40, 40)
    >>> _allocate(100, 90, 70, 10)  # a prompt that needs more than half is cut to half
    (50, 40, 40)
    >>> _allocate(100, 90, 10, 5)  # but never below what the answers leave over
    (85, 10, 10)
    >>> _allocate(100, 20, 90), _allocate(100, 90, 90)  # a single answer gets all that the prompt leaves over
    ((50, 80), (50, 50))
    """
    prompt_cap = max(room // 2, room - sum(answers))
    left = room - min(prompt, prompt_cap)
    answer_cap = left if len(answers) == 1 else max(left // 2, left - min(answers))
    return (prompt_cap, *[answer_cap] * len(answers))


def _head_and_tail(text: str, offsets: Offsets, cap: int, mark_tokens: int) -> str:
    """The text if it has at most `cap` tokens, else its first and last tokens with the mark between them.

    A character of several tokens (bytes) is never split: it is dropped if one of its tokens is.
    """
    if len(offsets) <= cap:
        return text
    kept = max(cap - mark_tokens, 0)
    tail = kept // 2
    head = kept - tail
    head_end = offsets[head][0]
    tail_start = offsets[len(offsets) - tail - 1][1]
    # The mark has its own spaces; double spaces would be different tokens.
    return text[:head_end].rstrip() + TRUNCATION_MARK + text[tail_start:].lstrip()
