"""Which validation rows were truncated, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiebreak.runs import RunFolder
from tiebreak.types import Comparison


@dataclass(frozen=True)
class TruncatedRow:
    """What the judge did not read of a comparison; for a pointwise judge, of both sides together."""

    row: int
    tokens_lost: int
    turns_dropped: int


def find_truncated(folder: RunFolder, comparisons: Sequence[Comparison]) -> list[TruncatedRow]:
    """Encode the rows with the run's tokenizer and template, and return those that lose tokens or turns.

    No model is loaded.

    Raises:
        TiebreakError: the run's model folder cannot be read, or a row cannot be truncated to its length.
    """
    from tiebreak.models import card_encoder, load_tokenizer, read_card
    from tiebreak.text import Encoded

    card = read_card(folder.model)
    encoder = card_encoder(card, load_tokenizer(str(folder.model)))
    if card.head == "pairwise":
        texts_of_rows: list[tuple[Encoded, ...]] = [(text,) for text in encoder.encode(comparisons)]
    else:
        sides = [side for comparison in comparisons for side in comparison.conversations]
        encoded = encoder.encode(sides)
        texts_of_rows = [*zip(encoded[::2], encoded[1::2], strict=True)]
    rows = [
        TruncatedRow(row, sum(text.tokens_lost for text in texts), sum(text.turns_dropped for text in texts))
        for row, texts in enumerate(texts_of_rows)
    ]
    return [row for row in rows if row.tokens_lost or row.turns_dropped]
