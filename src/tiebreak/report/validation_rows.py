"""The texts of the rows that a run was validated on, which its folder does not keep, and where they were cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tiebreak.data import load_comparisons
from tiebreak.errors import RunError, TiebreakError
from tiebreak.recipe import DataSection
from tiebreak.report.predictions import Judged
from tiebreak.runs import RunFolder
from tiebreak.training.splits import split_votes
from tiebreak.types import Comparison


@dataclass(frozen=True)
class Cut:
    """What was not read of a comparison; of a pointwise judge, of both sides together."""

    row: int
    tokens_lost: int
    turns_dropped: int


def find_validation_rows(
    judged: Judged, data: DataSection | None, on: Path | None
) -> tuple[list[Comparison] | None, str]:
    """The comparisons of the predictions' rows, in their order; or None, and a sentence that says why not.

    Args:
        judged: the predictions.
        data: the section of a recipe that says where the votes were.
        on: a file that has them, instead.

    Raises:
        DataError: `on` cannot be read.
        RunError: `on` lacks some of the rows.
    """
    if on is not None:
        rows = list(load_comparisons(on, votes="optional", problem_rows="keep", on_note=_silence))
        found = _joined(judged, rows)
        if found is None:
            missing = len(set(judged.ids) - {row.id for row in rows})
            raise RunError(
                f"{on} does not have the rows that {judged.run} was validated on: {missing:,} of {len(judged.ids):,} "
                "ids are not in it, or stand in it twice. Give the file of votes that holds them."
            )
        return found, ""
    if data is None or data.train is None:
        return None, "The run does not say which file its votes are of. Name it: --on VOTES."
    try:
        rows = split_votes(data, _silence).validation
    except TiebreakError as error:
        return None, f"The votes could not be read again: {error} If they are elsewhere now: --on VOTES."
    found = _joined(judged, rows)
    if found is None:
        return None, "The files that the recipe names no longer give the rows of the predictions. Others: --on VOTES."
    return found, ""


def find_truncated(folder: RunFolder, comparisons: Sequence[Comparison]) -> list[Cut]:
    """What the run's tokenizer and template leave out of these rows; no model is loaded.

    Raises:
        TiebreakError: the run's model folder cannot be read, or a row cannot be cut to its length.
    """
    from tiebreak.models import load_tokenizer, read_card
    from tiebreak.text import Encoded, Encoder, Template, resolve_template

    card = read_card(folder.model)
    tokenizer = load_tokenizer(str(folder.model))
    template = resolve_template(card.template, card.head)
    if isinstance(template, Template):
        encoded = Encoder(tokenizer, template, card.max_length).encode(comparisons)
        parts: list[tuple[Encoded, ...]] = [(e,) for e in encoded]
    else:
        sides = [side for c in comparisons for side in c.conversations]
        encoded = Encoder(tokenizer, template, card.max_length).encode(sides)
        parts = [*zip(encoded[::2], encoded[1::2], strict=True)]
    cuts = [
        Cut(row, sum(e.tokens_lost for e in texts), sum(e.turns_dropped for e in texts))
        for row, texts in enumerate(parts)
    ]
    return [cut for cut in cuts if cut.tokens_lost or cut.turns_dropped]


def _joined(judged: Judged, rows: Sequence[Comparison]) -> list[Comparison] | None:
    """A comparison for each id; the same in number and order are taken as they are, so ids may repeat then."""
    if [row.id for row in rows] == judged.ids:
        return list(rows)
    by_id = {row.id: row for row in rows}
    if len(by_id) < len(rows) or len(set(judged.ids)) < len(judged.ids) or not by_id.keys() >= set(judged.ids):
        return None
    return [by_id[row_id] for row_id in judged.ids]


def _silence(_: str) -> None:
    """Notes about the votes were told in training."""
