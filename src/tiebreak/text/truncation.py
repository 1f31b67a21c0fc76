"""Cutting a comparison, or one side of it, to a budget of tokens, so that what decides the vote is what survives.

    1. Whole turns go first, the oldest before the younger, until the rest fits or only the closing turn is left.
    2. Then the closing turn's texts give: the longer answer first, down to a common cap, and the prompt only
       where it alone would take more than half of the room and the answers need it. A text that gives keeps
       head and tail in equal parts: how an answer opens and how it ends say more than its middle.

What is counted is always the whole rendered text, of a comparison in both orders of the answers: the cut of the swapped
comparison is the swapped cut, and any other runtime fed the same text sees the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from tiebreak.errors import RecipeError
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerFast

    _T = TypeVar("_T")
    _Steps = Generator[list[str], Sequence[Encoding], _T]
    """A computation that hands out texts and is given their tokens, so that many of them share each batch."""

CUT_MARK: Final = " [...] "
"""Stands between the head and the tail of a shortened text."""

_LEAST_TOKENS: Final = 8
"""A budget that leaves each text fewer tokens than this is refused before any row is read."""

ROWS_AT_ONCE: Final = 512
"""Enough rows for the tokenizer's threads, few enough that its own objects never fill the memory."""


class Truncatable(Protocol):
    """What is rendered and cut: a comparison, or one side of it."""

    @property
    def prompt(self) -> tuple[str, ...]:
        """The user's turns."""

    @property
    def orders(self) -> tuple[Self, ...]:
        """The ways it can be told, itself first."""

    @property
    def closing(self) -> tuple[str, ...]:
        """The texts of the last turn, the prompt first."""

    @property
    def close_with(self) -> Callable[..., Self]:
        """Makes the same with another closing turn, of as many texts."""

    def map_texts(self, change: Callable[[str], str]) -> Self:
        """The same with every text changed."""


TruncatableT = TypeVar("TruncatableT", bound=Truncatable)


class TextTemplate(Protocol[TruncatableT]):
    """A template."""

    @property
    def text(self) -> str:
        """Itself, with its slots."""

    @property
    def bare(self) -> TruncatableT:
        """What leaves its slots empty."""

    def render(self, said: TruncatableT, /, *, turns_dropped: int = 0) -> str:
        """The whole text the model reads."""


Ids = npt.NDArray[np.int32]
Offsets = Sequence[tuple[int, int]]
"""For each token of a text the characters it covers, as [first, end)."""


def token_ids(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[Ids]:
    """Ids of each whole text, with nothing added to it: one int32 array [tokens] a text.

    In one batch, so that all cores work on it: give no more than `ROWS_AT_ONCE` texts.
    """
    encodings = rust_tokenizer(tokenizer).encode_batch_fast(texts, add_special_tokens=False)  # without offsets
    return [np.array(row.ids, dtype=np.int32) for row in encodings]


def rust_tokenizer(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """The Rust tokenizer itself, set to do what calling `tokenizer` on plain texts does.

    The call would turn each text's tokens, offsets and ids into Python lists first, which takes a third as long again.
    """
    backend = tokenizer.backend_tokenizer
    # Others set these on the object we share. Only where they differ: setting fails while a thread is tokenising.
    if backend.truncation is not None:
        backend.no_truncation()
    if backend.padding is not None:
        backend.no_padding()
    if backend.encode_special_tokens != tokenizer.split_special_tokens:
        backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


@dataclass(frozen=True, slots=True, eq=False)
class Cut(Generic[TruncatableT]):
    """What fits of a comparison: its closing texts as they are said, and how many of its oldest turns are not."""

    said: TruncatableT
    turns_dropped: int
    ids: Ids
    """[tokens] of the rendered text, the BOS aside."""


class Truncator(Generic[TruncatableT]):
    """Cuts comparisons, or sides of them, to `max_length` tokens of rendered text, `added_tokens` (a BOS) counted in.

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
        bare = template.render(template.bare)
        template_tokens, self._mark_tokens = (ids.size for ids in token_ids(tokenizer, [bare, CUT_MARK]))
        texts = len(template.bare.closing)
        least = added_tokens + template_tokens + texts * max(_LEAST_TOKENS, self._mark_tokens + 2)
        if max_length < least:
            raise RecipeError(
                f"max_length is {max_length} tokens, but the template alone takes {template_tokens + added_tokens}, "
                f"and some of the prompt and of each answer must fit too: set max_length to {least} or more, "
                "or shorten the template"
            )

    def __call__(self, rows: Sequence[TruncatableT], whole: Sequence[Ids]) -> list[Cut[TruncatableT]]:
        """What the rules above leave of each row: all of it, where it fits in either order of the answers.

        Args:
            rows: to cut.
            whole: token ids of their rendered texts, uncut, the BOS aside.

        Raises:
            RecipeError: not even the closing turn, cut to nothing, fits: the marks of a long conversation, or a
                tokenizer with odd seams, at the very least `max_length`.
        """
        cuts: list[Cut[TruncatableT]] = []
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            steps = [self._cut(*row) for row in zip(rows[some], whole[some], strict=True)]
            cuts += _run_together(steps, self._tokenizer)
        return cuts

    def _cut(self, said: TruncatableT, whole: Ids) -> _Steps[Cut[TruncatableT]]:
        if whole.size <= self._budget:  # it fits as it stands: only the other order, if any, is to be counted
            others = [self._template.render(order) for order in said.orders[1:]]
            pluralize = (yield others) if others else []
            if all(len(text) <= self._budget for text in pluralize):
                return Cut(said, 0, whole)
        turns = len(said.prompt)
        for dropped in range(1, turns):
            cut, excess = yield from self._read(said, dropped)
            if excess <= 0:
                return cut
        return (yield from self._shorten_closing_turn(said, turns - 1))

    def _read(self, said: TruncatableT, dropped: int) -> _Steps[tuple[Cut[TruncatableT], int]]:
        """The row as it would be said, and by how many tokens it is too long in the longest of its orders."""
        tokens = yield [self._template.render(order, turns_dropped=dropped) for order in said.orders]
        cut = Cut(said, dropped, np.array(tokens[0].ids, dtype=np.int32))
        return cut, max(map(len, tokens)) - self._budget

    def _shorten_closing_turn(self, said: TruncatableT, dropped: int) -> _Steps[Cut[TruncatableT]]:
        """The row with its closing texts cut so that, without the earlier turns, it fits.

        Texts are cut by their own tokens, which may merge or split where they meet the template. So the real
        text is counted, and what it takes too much is taken off the room. The room is a whole number that
        shrinks in every round, and below one token there is nothing left to give: the loop ends.
        """
        texts = said.closing
        bare = self._template.render(said.close_with(*("" for _ in texts)), turns_dropped=dropped)
        *tokens, around = yield [*texts, bare]
        offsets = [text.offsets for text in tokens]
        lengths = [len(text) for text in offsets]
        room = self._budget - len(around)
        while room > 0:
            caps = _share_out(room, *lengths)
            shorter = map(_head_and_tail, texts, offsets, caps, [self._mark_tokens] * len(texts))
            cut, excess = yield from self._read(said.close_with(*shorter), dropped)
            if excess <= 0:
                return cut
            room = min(room, sum(map(min, lengths, caps))) - excess
        named = f"comparison {said.id!r}" if isinstance(said, Comparison) else "a conversation"
        raise RecipeError(
            f"max_length of {self._max_length} tokens leaves no room for the closing turn of {named}: raise max_length"
        )


def _run_together(rows: Sequence[_Steps[_T]], tokenizer: PreTrainedTokenizerFast) -> list[_T]:
    """Runs all rows to their ends, step by step, tokenising what they hand out in one batch a step.

    The two orders of a comparison hand out the same texts: each is tokenised once.
    """
    ends: dict[int, _T] = {}
    texts: dict[int, list[str]] = {}
    tokens: dict[str, Encoding] = {}
    running = list(range(len(rows)))
    while running:
        for index in running:
            try:
                row = rows[index]
                texts[index] = row.send([tokens[text] for text in texts[index]]) if index in texts else next(row)
            except StopIteration as end:
                ends[index] = end.value
        running = [index for index in running if index not in ends]
        batch = list(dict.fromkeys(text for index in running for text in texts[index]))
        encodings = rust_tokenizer(tokenizer).encode_batch(batch, add_special_tokens=False)
        tokens = dict(zip(batch, encodings, strict=True))
    return [ends[index] for index in range(len(rows))]


def _share_out(room: int, prompt: int, *answers: int) -> tuple[int, ...]:
    """Caps, in tokens, on the closing prompt and its one or two answers, which have so many tokens.

    The answers' cap is one number for both (water-filling), so it cannot prefer a side: an odd token is left over.

    >>> _share_out(100, 20, 70, 30)  # the longer answer gives, the prompt and the shorter one do not
    (50, 50, 50)
    >>> _share_out(100, 20, 70, 60)  # both give down to the same length
    (50, 40, 40)
    >>> _share_out(100, 90, 70, 10)  # a prompt that needs more than half gives down to half
    (50, 40, 40)
    >>> _share_out(100, 90, 10, 5)  # but never below what the answers leave over
    (85, 10, 10)
    >>> _share_out(100, 20, 90), _share_out(100, 90, 90)  # an answer alone has all that the prompt leaves over
    ((50, 80), (50, 50))
    """
    prompt_cap = max(room // 2, room - sum(answers))
    left = room - min(prompt, prompt_cap)
    answer_cap = left if len(answers) == 1 else max(left // 2, left - min(answers))
    return (prompt_cap, *[answer_cap] * len(answers))


def _head_and_tail(text: str, offsets: Offsets, cap: int, mark_tokens: int) -> str:
    """The text itself if it has at most `cap` tokens, else its first and last ones with the mark between.

    A character made of several tokens (bytes) is never split: it goes where one of its tokens must go.
    """
    if len(offsets) <= cap:
        return text
    kept = max(cap - mark_tokens, 0)
    tail = kept // 2
    head = kept - tail
    head_end = offsets[head][0]
    tail_start = offsets[len(offsets) - tail - 1][1]
    # The mark brings its own spaces: doubled ones would be other tokens than those the model knows.
    return text[:head_end].rstrip() + CUT_MARK + text[tail_start:].lstrip()
