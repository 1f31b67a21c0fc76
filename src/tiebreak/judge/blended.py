"""A judge that is the weighted mean of others, and the card that names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tiebreak.comparison import Comparison
from tiebreak.errors import RunError
from tiebreak.judge.base import Judge, Swap
from tiebreak.judge.comparing import ComparingJudge
from tiebreak.judge.verdicts import Verdict
from tiebreak.judging import blend
from tiebreak.run import BLEND_CARD, write_text


class BlendMember(BaseModel):
    """A run in a blend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    """Its folder, as seen from the blend's."""
    weight: Annotated[float, Field(gt=0, le=1)]


class BlendCard(BaseModel):
    """`blend.json`: which runs are asked, and how much each counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    members: Annotated[list[BlendMember], Field(min_length=1)]


def write_blend(folder: Path, card: BlendCard) -> None:
    """Write the card into a run's `model` folder, whole or not at all.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    write_text(folder / BLEND_CARD, card.model_dump_json(indent=2) + "\n")


def read_blend(folder: Path) -> BlendCard:
    """The card in a run's `model` folder.

    Raises:
        RunError: this version cannot read it.
    """
    path = folder / BLEND_CARD
    try:
        return BlendCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise RunError(f"{path} cannot be read by this version of Tiebreak: {error}") from error


class BlendedJudge(ComparingJudge):
    """Asks every member, and takes the weighted mean of what they say.

    Args:
        members: judges of any kind; each calibrates its own probabilities.
        weights: [members], of sum 1.
    """

    def __init__(self, members: Sequence[Judge], weights: Sequence[float]) -> None:
        super().__init__()
        self._members = list(members)
        self._weights = list(weights)

    def texts(self, comparisons: int, swap: Swap) -> int:
        """Those of all members."""
        return sum(member.texts(comparisons, swap) for member in self._members)

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """As in `Judge`."""
        said = [member.compare_many(comparisons, swap=swap, on_progress=on_progress) for member in self._members]
        if not comparisons:
            return []
        mean = blend([[(v.model_a, v.model_b, v.tie) for v in verdicts] for verdicts in said], self._weights)
        lost = np.max([[v.tokens_lost for v in verdicts] for verdicts in said], axis=0)
        return [Verdict(a, b, tie, n) for (a, b, tie), n in zip(mean.tolist(), lost.tolist(), strict=True)]
