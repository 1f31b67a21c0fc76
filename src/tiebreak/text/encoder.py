"""Encode comparisons, or sides of them, as token ids: clean the texts, render, truncate and tokenise them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic

import numpy as np

from tiebreak.errors import RecipeError
from tiebreak.formatting import pluralize
from tiebreak.text.truncation import (
    ROWS_PER_BATCH,
    Ids,
    TextTemplate,
    TruncatableT,
    Truncator,
    rust_tokenizer,
    token_ids,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_ORDER_MARGIN: Final = 64
"""An upper bound on the difference in tokens between the two orders of a comparison, which comes only from the places
where texts meet the template."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The token ids of one comparison, or of one side of it, and the amount of text that was cut."""

    ids: Ids
    """[tokens], at most the encoder's `max_length`, including the BOS if the tokenizer uses one."""
    tokens_lost: int
    """Tokens of the uncut text minus those of `ids`."""
    turns_dropped: int


class Encoder(Generic[TruncatableT]):
    """Renders comparisons, or conversations, with a template and tokenises the text, cut to `max_length` tokens.

    - One BOS is added if the tokenizer itself adds one to plain text (Gemma, Llama), otherwise none (Qwen).
    - Text of users and models never becomes a special token: one that is spelled out (`<bos>`) gets a space after its
      first character. This happens in the text, so every runtime that tokenises `text(comparison)` gets the same
      tokens. Only added tokens that are marked as special count; Gemma's newline runs and HTML tags, which are added
      tokens but not special, are kept.
    - Lone surrogates, which no tokenizer accepts, become U+FFFD.

    Raises:
        RecipeError: `max_length` is too small for the template, or the template contains the BOS that is added.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, template: TextTemplate[TruncatableT], max_length: int
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._max_length = max_length
        self._special = _special_token_pattern(tokenizer)
        self._bos = np.array(_bos_ids(tokenizer), dtype=np.int32)
        if self._bos.size and str(tokenizer.bos_token) in template.text:
            raise RecipeError(
                f"template: it contains {tokenizer.bos_token}, which is added before every text anyway; remove it"
            )
        self._truncate = Truncator(tokenizer, template, max_length=max_length, added_tokens=self._bos.size)

    @property
    def max_length(self) -> int:
        """The maximum number of tokens of a text, including the BOS."""
        return self._max_length

    @property
    def template(self) -> str:
        """The template, with its slots."""
        return self._template.text

    @property
    def bos(self) -> str:
        """The BOS token that is added before every text; empty if none is added."""
        return str(self._tokenizer.bos_token) if self._bos.size else ""

    def encode(
        self, rows: Sequence[TruncatableT], *, on_progress: Callable[[int], None] | None = None
    ) -> list[Encoded]:
        """The token ids of each row, in their order.

        Rows are rendered and tokenised in batches, so only their ids are kept in memory.

        Args:
            rows: to encode, on all CPU cores.
            on_progress: called with the number of rows encoded since the last call.

        Raises:
            RecipeError: a row cannot be cut to `max_length`.
        """
        encoded: list[Encoded] = []
        near_limit: list[int] = []
        for batch in self._encode_uncut(rows):
            for ids in batch:
                if ids.size > self._max_length - _ORDER_MARGIN:
                    near_limit.append(len(encoded))
                encoded.append(Encoded(self._add_bos(ids), tokens_lost=0, turns_dropped=0))
            if on_progress is not None:
                on_progress(len(batch))
        truncated = self._truncate(
            [rows[index].map_texts(self._clean) for index in near_limit],
            [encoded[index].ids[self._bos.size :] for index in near_limit],
        )
        for index, row in zip(near_limit, truncated, strict=True):
            ids = self._add_bos(row.ids)
            encoded[index] = Encoded(ids, encoded[index].ids.size - ids.size, row.turns_dropped)
        return encoded

    def encode_rendered(self, texts: Sequence[str | Sequence[int]]) -> list[Encoded]:
        """The token ids of texts, or lists of token ids, that were rendered elsewhere.

        Each gets exactly one BOS, however many it begins with; other special tokens in a text are treated as plain
        text. Inputs longer than `max_length` are cut at the beginning, after the BOS.

        Raises:
            ValueError: a token id is out of range.
        """
        uncut: dict[int, Ids] = {i: self._check_ids(ids) for i, ids in enumerate(texts) if not isinstance(ids, str)}
        strings = [(i, text) for i, text in enumerate(texts) if isinstance(text, str)]
        for start in range(0, len(strings), ROWS_PER_BATCH):
            batch = strings[start : start + ROWS_PER_BATCH]
            cleaned = [self._clean(self._remove_bos(text)) for _, text in batch]
            for (i, _), ids in zip(batch, token_ids(self._tokenizer, cleaned), strict=True):
                uncut[i] = ids
        room = self._max_length - self._bos.size
        return [
            Encoded(self._add_bos(ids[-room:]), max(0, len(ids) - room), turns_dropped=0)
            for ids in (uncut[i] for i in range(len(texts)))
        ]

    def text(self, row: TruncatableT) -> str:
        """The text, cleaned and cut, whose tokens `encode` returns (without the BOS)."""
        cleaned = row.map_texts(self._clean)
        [cut] = self._truncate([cleaned], token_ids(self._tokenizer, [self._template.render(cleaned)]))
        return self._template.render(cut.row, turns_dropped=cut.turns_dropped)

    def _encode_uncut(self, rows: Sequence[TruncatableT]) -> Iterator[list[Ids]]:
        """Ids of the uncut texts, one list per batch.

        Two batches are processed at a time, so that the tokenizer's threads wait neither for Python nor for the
        slowest text of a batch.
        """
        batches = [rows[start : start + ROWS_PER_BATCH] for start in range(0, len(rows), ROWS_PER_BATCH)]
        if len(batches) < 2:
            yield from map(self._encode_batch, batches)
            return
        rust_tokenizer(self._tokenizer)  # configured now, since it cannot be configured while a thread uses it
        with ThreadPoolExecutor(2) as threads:
            yield from threads.map(self._encode_batch, batches)

    def _encode_batch(self, rows: Sequence[TruncatableT]) -> list[Ids]:
        return token_ids(self._tokenizer, [self._template.render(row.map_texts(self._clean)) for row in rows])

    def _add_bos(self, ids: Ids) -> Ids:
        return np.concatenate((self._bos, ids)) if self._bos.size else ids

    def _remove_bos(self, text: str) -> str:
        bos = self.bos
        while bos and text.startswith(bos):
            text = text[len(bos) :]
        return text

    def _check_ids(self, ids: Sequence[int]) -> Ids:
        """Valid token ids without BOS at the beginning."""
        size = len(self._tokenizer)
        invalid = next((i for i in ids if not 0 <= i < size), None)
        if invalid is not None:
            raise ValueError(f"token id {invalid} is out of range: the tokenizer has ids from 0 to {size - 1:,}")
        start = 0
        while self._bos.size and start < len(ids) and ids[start] == self._bos[0]:
            start += 1
        return np.array(ids[start:], dtype=np.int32)

    def _clean(self, text: str) -> str:
        if not text.isascii():
            text = _SURROGATE.sub("\ufffd", text)
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)


@dataclass(frozen=True, slots=True)
class TruncationReport:
    """The amount of text that `max_length` cut from a set of rows; `str()` gives one line."""

    rows: int
    rows_cut: int
    tokens_lost: int
    tokens_kept: int
    turns_dropped: int
    noun: str = "comparison"
    """The noun for a row, in the singular."""

    @classmethod
    def of(cls, encoded: Iterable[Encoded], noun: str = "comparison") -> TruncationReport:
        """The sum over encoded rows."""
        rows = list(encoded)
        return cls(
            rows=len(rows),
            rows_cut=sum(bool(row.tokens_lost or row.turns_dropped) for row in rows),
            tokens_lost=sum(row.tokens_lost for row in rows),
            tokens_kept=sum(row.ids.size for row in rows),
            turns_dropped=sum(row.turns_dropped for row in rows),
            noun=noun,
        )

    def __str__(self) -> str:
        if not self.rows_cut:
            return f"None of {pluralize(self.rows, self.noun)} cut; {self.tokens_kept:,} tokens"
        share_cut = self.rows_cut / max(self.rows, 1)
        share_lost = self.tokens_lost / max(self.tokens_lost + self.tokens_kept, 1)
        return (
            f"{self.rows_cut:,} of {pluralize(self.rows, self.noun)} cut ({share_cut:.1%}): {self.tokens_lost:,} "
            f"tokens lost ({share_lost:.1%}), {self.tokens_kept:,} kept; turns dropped: {self.turns_dropped:,}"
        )


def _bos_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The BOS id, or nothing: a tokenizer may have a BOS and not add it to texts (Qwen2, GPT-2)."""
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and tokenizer("a")["input_ids"][:1] == [bos] else []


def _special_token_pattern(tokenizer: PreTrainedTokenizerFast) -> re.Pattern[str]:
    """Matches every special token of two or more characters in a text, the longest first; matches nothing if none."""
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    by_length = sorted((token for token in special if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, by_length)) or r"(?!)")
