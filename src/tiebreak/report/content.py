"""Everything that a report page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tiebreak.report.analysis import Analysis
from tiebreak.report.run_metadata import RunMetadata
from tiebreak.report.truncation import TruncatedRow
from tiebreak.runs import Orders
from tiebreak.types import Comparison
from tiebreak.workflows.predictions import RunPredictions

SIDES: Final = ("A", "B", "tie")
"""How the page names the outcomes, in the order of `OUTCOMES`."""


@dataclass(frozen=True)
class Content:
    """The input of `tiebreak.report.page.render`."""

    title: str
    predictions: RunPredictions
    metadata: RunMetadata
    analysis: Analysis
    comparisons: Sequence[Comparison] | None
    """[rows], or None if the texts are not known."""
    orders: Orders | None
    """The run's probabilities with A first and with B first."""
    no_orders: str
    """Why there are none, in a sentence."""
    truncated: Sequence[TruncatedRow] | None
    """None if it is not known which rows were truncated."""
    notes: Sequence[str]
    """What is missing from the report, and how to get it."""
    made: str
    """When, and by which version."""
