"""Comparisons, or sides of them -> token ids: clean what people wrote, render it, cut it, tokenise it whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic

import numpy as np

from tiebreak.errors import RecipeError
from tiebreak.formatting import pluralize
from tiebreak.text.truncation import ROWS_AT_ONCE, Ids, TextTemplate, TruncatableT, Truncator, rust_tokenizer, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_SEAM_TOKENS: Final = 64
"""The two orders of a comparison differ in tokens only where texts meet the template, by far fewer than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What the model reads for one comparison, or one side of it, and what was left out to make it fit."""

    ids: Ids
    """[tokens], at most the encoder's `max_length`, BOS included where the tokenizer has the convention."""
    tokens_lost: int
    """Tokens of the uncut text minus those of `ids`."""
    turns_dropped: int


class Encoder(Generic[TruncatableT]):
    """Renders comparisons, or conversations, with a template and tokenises the whole text, cut to `max_length` tokens.

    - One BOS leads the ids if the tokenizer itself leads plain texts with one (Gemma, Llama), else none (Qwen).
    - What people wrote never becomes a special token: a spelled-out one (`<bos>`) gets a space after its first
      character, in the text, so every runtime fed `text(comparison)` sees the same harmless tokens. Special are
      the added tokens flagged so; Gemma's newline runs and HTML tags, added but plain, stay as they are.
    - Lone surrogates, which no tokenizer accepts, become U+FFFD.

    Raises:
        RecipeError: `max_length` is too small for the template, or the template spells the BOS that is added.
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
                f"template: it spells {tokenizer.bos_token}, which is added in front of every text already; remove it"
            )
        self._truncate = Truncator(tokenizer, template, max_length=max_length, added_tokens=self._bos.size)

    def encode(
        self, rows: Sequence[TruncatableT], *, on_progress: Callable[[int], None] | None = None
    ) -> list[Encoded]:
        """One `Encoded` a row, in their order.

        Texts are rendered a batch at a time and forgotten, so that beside the rows there are only their ids.

        Args:
            rows: to encode; all cores work on them.
            on_progress: called with the number of rows encoded since the last call.

        Raises:
            RecipeError: a row cannot be cut to `max_length`.
        """
        encoded: list[Encoded] = []
        near: list[int] = []
        for batch in self._whole(rows):
            for ids in batch:
                if ids.size > self._max_length - _SEAM_TOKENS:
                    near.append(len(encoded))
                encoded.append(Encoded(self._lead(ids), tokens_lost=0, turns_dropped=0))
            if on_progress is not None:
                on_progress(len(batch))
        cuts = self._truncate(
            [rows[row].map_texts(self._clean) for row in near], [encoded[row].ids[self._bos.size :] for row in near]
        )
        for row, cut in zip(near, cuts, strict=True):
            ids = self._lead(cut.ids)
            encoded[row] = Encoded(ids, encoded[row].ids.size - ids.size, cut.turns_dropped)
        return encoded

    @property
    def max_length(self) -> int:
        """The most tokens of a text, a BOS counted in."""
        return self._max_length

    @property
    def template(self) -> str:
        """The text around what is said, with slots."""
        return self._template.text

    @property
    def bos(self) -> str:
        """What every text's tokens are led by, spelled out; empty where they are led by nothing."""
        return str(self._tokenizer.bos_token) if self._bos.size else ""

    def encode_rendered(self, texts: Sequence[str | Sequence[int]]) -> list[Encoded]:
        """One `Encoded` a text that was rendered elsewhere, or its token ids.

        Led by one BOS, however many it began with; special tokens spelled out behind that stay plain text. What is
        longer than `max_length` loses its beginning, behind the BOS.

        Raises:
            ValueError: an id is no token's.
        """
        whole: list[Ids | None] = [None if isinstance(text, str) else self._given(text) for text in texts]
        strings = [(i, text) for i, text in enumerate(texts) if isinstance(text, str)]
        for start in range(0, len(strings), ROWS_AT_ONCE):
            some = strings[start : start + ROWS_AT_ONCE]
            clean = [self._clean(self._without_bos(text)) for _, text in some]
            for (i, _), ids in zip(some, token_ids(self._tokenizer, clean), strict=True):
                whole[i] = ids
        room = self._max_length - self._bos.size
        found = [ids for ids in whole if ids is not None]
        return [Encoded(self._lead(ids[-room:]), max(0, len(ids) - room), 0) for ids in found]

    def _without_bos(self, text: str) -> str:
        bos = self.bos
        while bos and text.startswith(bos):
            text = text[len(bos) :]
        return text

    def _given(self, ids: Sequence[int]) -> Ids:
        """Token ids without the BOS in front."""
        size = len(self._tokenizer)
        wrong = next((i for i in ids if not 0 <= i < size), None)
        if wrong is not None:
            raise ValueError(f"{wrong} is no token's id: the tokenizer has {size:,}, from 0")
        start = 0
        while self._bos.size and start < len(ids) and ids[start] == self._bos[0]:
            start += 1
        return np.array(ids[start:], dtype=np.int32)

    def text(self, row: TruncatableT) -> str:
        """The final text, cleaned and cut, whose tokens `encode` gives (BOS aside, which is not text)."""
        clean = row.map_texts(self._clean)
        [cut] = self._truncate([clean], token_ids(self._tokenizer, [self._template.render(clean)]))
        return self._template.render(cut.said, turns_dropped=cut.turns_dropped)

    def _whole(self, rows: Sequence[TruncatableT]) -> Iterator[list[Ids]]:
        """Ids of the uncut texts, a list a batch.

        Two batches are under way at a time, so that the tokenizer's threads never wait for Python, nor for the slowest
        of one batch.
        """
        batches = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
        if len(batches) < 2:
            yield from map(self._whole_batch, batches)
            return
        rust_tokenizer(self._tokenizer)  # set right before a thread uses it, when nothing can be set any more
        with ThreadPoolExecutor(2) as threads:
            yield from threads.map(self._whole_batch, batches)

    def _whole_batch(self, rows: Sequence[TruncatableT]) -> list[Ids]:
        return token_ids(self._tokenizer, [self._template.render(row.map_texts(self._clean)) for row in rows])

    def _lead(self, ids: Ids) -> Ids:
        return np.concatenate((self._bos, ids)) if self._bos.size else ids

    def _clean(self, text: str) -> str:
        if not text.isascii():
            text = _SURROGATE.sub("\ufffd", text)
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)


@dataclass(frozen=True, slots=True)
class CutReport:
    """What `max_length` cost a set of texts; `str()` says it in one line."""

    rows: int
    rows_cut: int
    tokens_lost: int
    tokens_kept: int
    turns_dropped: int
    noun: str = "comparison"
    """What one of them is called."""

    @classmethod
    def of(cls, encoded: Iterable[Encoded], noun: str = "comparison") -> CutReport:
        """The sum over encoded texts."""
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
    """The BOS alone, or nothing: a tokenizer may have one and yet never put it in front of a text (Qwen2, GPT-2)."""
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and tokenizer("a")["input_ids"][:1] == [bos] else []


def _special_token_pattern(tokenizer: PreTrainedTokenizerFast) -> re.Pattern[str]:
    """Matches every spelled-out special token of two or more characters, the longest first; maybe nothing ever."""
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    spelled = sorted((token for token in special if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, spelled)) or r"(?!)")
