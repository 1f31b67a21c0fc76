"""A blend: the weighted mean of several judges, and the card that lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tiebreak.calibration import Calibration, weighted_mean
from tiebreak.errors import RunError
from tiebreak.judges.answer_order import Swap, least_certain, mean_verdict, swap_verdict, swapped_count
from tiebreak.judges.judge import Judge, calibrated
from tiebreak.judges.tournament_ranking import TournamentRankingJudge
from tiebreak.judges.verdicts import Verdict, probability_array
from tiebreak.runs import BLEND_CARD, write_text
from tiebreak.types import Comparison


class BlendMember(BaseModel):
    """A run in a blend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    """Its folder, relative to the blend's."""
    weight: Annotated[float, Field(gt=0, le=1)]
    calibration: Calibration | None
    """Its calibration when the weights were fitted. The blend keeps applying it even if the run is calibrated again,
    because the weights are only right for these probabilities."""


class BlendCard(BaseModel):
    """`blend.json`: the members, their weights, and the calibration of their mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[2] = 2
    members: Annotated[list[BlendMember], Field(min_length=1)]
    calibration: Calibration | None = None
    """The calibration of the weighted mean, fitted after the weights."""


def write_blend(folder: Path, card: BlendCard) -> None:
    """Write the card into a run's `model` folder atomically.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    write_text(folder / BLEND_CARD, card.model_dump_json(indent=2) + "\n")


def read_blend(folder: Path) -> BlendCard:
    """Read the card in a run's `model` folder.

    Raises:
        RunError: this version cannot read it.
    """
    path = folder / BLEND_CARD
    try:
        return BlendCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise RunError(f"{path} cannot be read by this version of Tiebreak: {error}") from error


class EnsembleJudge(TournamentRankingJudge):
    """The weighted mean of its members' probabilities.

    Args:
        members: judges of any kind; each applies its own calibration.
        weights: [members], with sum 1.
        calibration: applied to the mean in each order, before both orders are averaged.
    """

    def __init__(
        self, members: Sequence[Judge], weights: Sequence[float], calibration: Calibration | None = None
    ) -> None:
        super().__init__(calibration)
        self._members = list(members)
        self._weights = list(weights)

    def texts(self, comparisons: int, swap: Swap) -> int:
        """The sum over the members."""
        return sum(member.texts(comparisons, swap) for member in self._members)

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """As in `Judge`; the least certain comparisons are those of the blend."""
        swapped = swapped_count(len(comparisons), swap)
        if swap == "average":
            return [mean_verdict(*orders) for orders in self.compare_orders(comparisons, on_progress=on_progress)]
        member_verdicts = [member.compare_many(comparisons, on_progress=on_progress) for member in self._members]
        verdicts = self._blend(member_verdicts)
        if swapped and not self.is_symmetric:
            chosen = least_certain(probability_array(verdicts), swapped)
            swapped_rows = [comparisons[i].swap() for i in chosen]
            swapped_verdicts = self._blend(
                [
                    [swap_verdict(as_given[i]) for i in chosen]
                    if member.is_symmetric
                    else member.compare_many(swapped_rows, on_progress=on_progress)
                    for member, as_given in zip(self._members, member_verdicts, strict=True)
                ]
            )
            for i, verdict in zip(chosen, swapped_verdicts, strict=True):
                verdicts[i] = mean_verdict(verdicts[i], swap_verdict(verdict))
        return verdicts

    def compare_orders(
        self, comparisons: Sequence[Comparison], *, on_progress: Callable[[int], None] | None = None
    ) -> list[tuple[Verdict, Verdict]]:
        """As in `Judge`; each member computes the prefix that both orders share once."""
        members = [member.compare_orders(comparisons, on_progress=on_progress) for member in self._members]
        as_given, swapped = (
            self._blend([[verdicts[order] for verdicts in rows] for rows in members]) for order in (0, 1)
        )
        return list(zip(as_given, swapped, strict=True))

    def _blend(self, member_verdicts: Sequence[Sequence[Verdict]]) -> list[Verdict]:
        """The blend's calibrated verdicts, from the verdicts of each member in one order."""
        if not member_verdicts[0]:
            return []
        mean = weighted_mean([probability_array(verdicts) for verdicts in member_verdicts], self._weights)
        mean = calibrated(mean, self._calibration)
        lost = [max(verdict.tokens_lost for verdict in verdicts) for verdicts in zip(*member_verdicts, strict=True)]
        return [Verdict(a, b, tie, n) for (a, b, tie), n in zip(mean.tolist(), lost, strict=True)]
