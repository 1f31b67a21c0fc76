"""Encode comparisons, or sides of them, as token ids: clean the texts, render, truncate and tokenise them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic

import numpy as np

from tiebreak.errors import RecipeError
from tiebreak.formatting import pluralize
from tiebreak.text.added_tokens import AddedTokens
from tiebreak.text.control_tokens import ControlTokens
from tiebreak.text.tokenization import ROWS_PER_BATCH, Ids, rust_tokenizer, token_ids
from tiebreak.text.truncation import TextTemplate, TruncatableT, TruncatedRow, Truncator
from tiebreak.unicode import clean_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_ORDER_MARGIN: Final = 64
"""An upper bound on the difference in tokens between the two orders of a comparison, which comes only from the places
where texts meet the template."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The token ids of one comparison, or of one side of it, and the amount of text that was cut."""

    ids: Ids
    """[tokens], at most the encoder's `max_length`, including the special tokens that are added around the text."""
    tokens_lost: int
    """Tokens of the uncut text minus those of `ids`."""
    turns_dropped: int


class Encoder(Generic[TruncatableT]):
    """Renders comparisons, or conversations, with a template and tokenises the text, cut to `max_length` tokens.

    - The special tokens that the tokenizer itself adds to a text stand around it: a BOS (Gemma, Llama), several tokens
      (GLM-4), a BOS and an EOS, or none (Qwen). A chat template writes its own.
    - Text of users and models never becomes a control token; see `ControlTokens`. This happens in the text, so every
      runtime that tokenises `text(comparison)` gets the same tokens. Gemma's newline runs and HTML tags, which are
      added tokens but not special, are kept.
    - Line ends, lone surrogates and NUL are those of `clean_text`: rows have clean texts, rendered texts get them.

    Args:
        tokenizer: of the judge.
        template: how a row becomes a text.
        max_length: the maximum number of tokens, including those that are added.
        added: the tokens around every text; by default those that the tokenizer adds, and none for a chat template.

    Raises:
        RecipeError: `max_length` is too small for the template, or the template contains the BOS that is added.
        ModelError: the tokenizer changes a text when it adds special tokens.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        template: TextTemplate[TruncatableT],
        max_length: int,
        added: AddedTokens | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._max_length = max_length
        self._control = ControlTokens(tokenizer, template.markers)
        self._control_counts: dict[TruncatableT, int] = {}
        if added is None:
            added = AddedTokens.of(tokenizer) if template.adds_special_tokens else AddedTokens()
        self._prefix, self._suffix = (np.array(ids, dtype=np.int32) for ids in (added.prefix, added.suffix))
        self._prefix_text, self._suffix_text = added.text(tokenizer)
        if self.bos and self.bos in template.text:
            raise RecipeError(f"template: it contains {self.bos}, which is added before every text anyway; remove it")
        self._room = max_length - added.count
        self._truncate = Truncator(tokenizer, template, max_length=max_length, added_tokens=added.count)

    @property
    def max_length(self) -> int:
        """The maximum number of tokens of a text, including those that are added around it."""
        return self._max_length

    @property
    def template(self) -> str:
        """The template, with its slots; empty for a chat template, which has none."""
        return self._template.text if self._template.adds_special_tokens else ""

    @property
    def chat_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """The tokenizer whose chat template the texts are in; None for a template with slots."""
        return None if self._template.adds_special_tokens else self._tokenizer

    @property
    def bos(self) -> str:
        """The BOS token, if it is added before every text, else empty."""
        bos = self._tokenizer.bos_token
        return str(bos) if bos is not None and self._tokenizer.bos_token_id in self._prefix else ""

    def encode(
        self, rows: Sequence[TruncatableT], *, on_progress: Callable[[int], None] | None = None
    ) -> list[Encoded]:
        """The token ids of each row, in their order.

        Rows are rendered and tokenised in batches, so only their ids are kept in memory.

        Args:
            rows: to encode, on all CPU cores.
            on_progress: called with the number of rows encoded since the last call.

        Raises:
            RecipeError: a row cannot be cut to `max_length`, or the base model's chat template refuses it.
        """
        encoded: list[Encoded] = []
        near_limit: dict[int, TruncatableT] = {}
        for batch in self._encode_uncut(rows):
            for uncut in batch:
                index, ids = len(encoded), uncut
                if self._holds_spelled_control_tokens(rows[index], uncut):
                    near_limit[index] = self._clean_encoded(rows[index])
                    [ids] = token_ids(self._tokenizer, [self._template.render(near_limit[index])])
                elif ids.size > self._max_length - _ORDER_MARGIN:
                    near_limit[index] = self._clean(rows[index])
                encoded.append(Encoded(self._add_tokens(ids), tokens_lost=0, turns_dropped=0))
            if on_progress is not None:
                on_progress(len(batch))
        truncated = self._cut([*near_limit.values()], [self._remove_tokens(encoded[index].ids) for index in near_limit])
        for index, row in zip(near_limit, truncated, strict=True):
            ids = self._add_tokens(row.ids)
            encoded[index] = Encoded(ids, encoded[index].ids.size - ids.size, row.turns_dropped)
        return encoded

    def encode_rendered(self, texts: Sequence[str | Sequence[int]]) -> list[Encoded]:
        """The token ids of texts, or lists of token ids, that were rendered elsewhere.

        Each gets the added tokens exactly once, however many it begins or ends with; other control tokens in a text are
        treated as plain text. Inputs longer than `max_length` are cut at the beginning, after the added prefix.

        Raises:
            ValueError: a token id is out of range, or a text is given and the judge has a chat template: what the
                template wrote and what somebody said cannot be told apart. Ids are read as they are.
        """
        uncut: dict[int, Ids] = {i: self._check_ids(ids) for i, ids in enumerate(texts) if not isinstance(ids, str)}
        strings = [(i, text) for i, text in enumerate(texts) if isinstance(text, str)]
        if strings and not self._template.adds_special_tokens:
            raise ValueError(
                "this judge reads chats in its base model's chat template, and a rendered text may have any special "
                "tokens in it: give messages, or the token ids of the rendered chat"
            )
        for start in range(0, len(strings), ROWS_PER_BATCH):
            batch = strings[start : start + ROWS_PER_BATCH]
            cleaned = [self._control.break_spelled(self._remove_added_text(clean_text(text))) for _, text in batch]
            for (i, _), text, ids in zip(batch, cleaned, token_ids(self._tokenizer, cleaned), strict=True):
                uncut[i] = ids
                if self._control.count(ids):
                    [uncut[i]] = token_ids(self._tokenizer, [self._control.break_encoded(text)])
        return [
            Encoded(self._add_tokens(ids[-self._room :]), max(0, len(ids) - self._room), turns_dropped=0)
            for ids in (uncut[i] for i in range(len(texts)))
        ]

    def text(self, row: TruncatableT) -> str:
        """The text, cleaned and cut, whose tokens `encode` returns (without the added tokens)."""
        cleaned = self._clean(row)
        [ids] = token_ids(self._tokenizer, [self._template.render(cleaned)])
        if self._holds_spelled_control_tokens(row, ids):
            cleaned = self._clean_encoded(row)
            [ids] = token_ids(self._tokenizer, [self._template.render(cleaned)])
        [cut] = self._cut([cleaned], [ids])
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
        return token_ids(self._tokenizer, [self._template.render(self._clean(row)) for row in rows])

    def _cut(self, rows: Sequence[TruncatableT], uncut: Sequence[Ids]) -> list[TruncatedRow[TruncatableT]]:
        """The rows cut to the budget. A cut that joins characters to a control token is cleaned and cut again."""
        truncated = self._truncate(rows, uncut)
        for index, cut in enumerate(truncated):
            if self._holds_spelled_control_tokens(cut.row, cut.ids, cut.turns_dropped):
                row = self._clean_encoded(cut.row)
                [truncated[index]] = self._truncate([row], token_ids(self._tokenizer, [self._template.render(row)]))
        return truncated

    def _clean(self, row: TruncatableT) -> TruncatableT:
        return row.map_texts(self._control.break_spelled)

    def _clean_encoded(self, row: TruncatableT) -> TruncatableT:
        """The row without texts that become control tokens when they are encoded.

        Raises:
            RecipeError: control tokens remain where a text meets a template with slots.
        """
        cleaned = row.map_texts(self._control.break_encoded)
        for apart in (cleaned, cleaned.map_texts(lambda text: f" {text} ")):
            [ids] = token_ids(self._tokenizer, [self._template.render(apart)])
            if not self._holds_spelled_control_tokens(apart, ids):
                return apart
        if self._template.adds_special_tokens:
            raise RecipeError(
                "A special token appears where a text meets the template: put a space before and behind every slot."
            )
        return cleaned  # this chat template writes other tokens for other contents, as Qwen 3 does for thoughts

    def _holds_spelled_control_tokens(self, row: TruncatableT, ids: Ids, turns_dropped: int = 0) -> bool:
        """Whether a rendered row has other control tokens than its template writes."""
        outline = self._template.outline(row, turns_dropped=turns_dropped)
        expected = self._control_counts.get(outline)
        if expected is None:
            [reference] = token_ids(self._tokenizer, [self._template.render(outline)])
            expected = self._control_counts[outline] = self._control.count(reference)
        return self._control.count(ids) != expected

    def _add_tokens(self, ids: Ids) -> Ids:
        return np.concatenate((self._prefix, ids, self._suffix))

    def _remove_tokens(self, ids: Ids) -> Ids:
        return ids[self._prefix.size : ids.size - self._suffix.size]

    def _remove_added_text(self, text: str) -> str:
        while self._prefix_text and text.startswith(self._prefix_text):
            text = text[len(self._prefix_text) :]
        while self._suffix_text and text.endswith(self._suffix_text):
            text = text[: -len(self._suffix_text)]
        return text

    def _check_ids(self, ids: Sequence[int]) -> Ids:
        """Valid token ids without the added tokens at their ends."""
        size = len(self._tokenizer)
        invalid = next((i for i in ids if not 0 <= i < size), None)
        if invalid is not None:
            raise ValueError(f"token id {invalid} is out of range: the tokenizer has ids from 0 to {size - 1:,}")
        prefix, suffix = self._prefix.tolist(), self._suffix.tolist()
        start, end = 0, len(ids)
        while prefix and list(ids[start : start + len(prefix)]) == prefix:
            start += len(prefix)
        while suffix and end - len(suffix) >= start and list(ids[end - len(suffix) : end]) == suffix:
            end -= len(suffix)
        return np.array(ids[start:end], dtype=np.int32)


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
