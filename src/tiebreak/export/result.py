"""What an export came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiebreak.formatting import pluralize

ExportDtype = Literal["auto", "float32", "bfloat16", "float16"]
"""The type merged weights are written in; `auto` is the one the base checkpoint is stored in."""


@dataclass(frozen=True)
class Drift:
    """What an export's numbers differ by from the run's own judge."""

    on: str
    """What it was measured on, in words."""
    rows: int
    dtype: str
    """What the exported model computed in."""
    probability_mean: float
    """Mean absolute difference of the probabilities over (A, B, tie)."""
    probability_largest: float
    answers_changed: int
    """Rows whose likeliest outcome is another one."""
    reward_mean: float | None = None
    """Of a pointwise judge: mean absolute difference of the rewards, in nats."""
    reward_largest: float | None = None
    loss_before: float | None = None
    """Log loss of the run's judge, where there are votes."""
    loss_after: float | None = None

    def __str__(self) -> str:
        """In a sentence or three."""
        said = (
            f"On {self.rows:,} {self.on}, in {self.dtype}, probabilities are off the run's own judge's by "
            f"{self.probability_mean:.2g} on average and {self.probability_largest:.2g} at most; the likeliest outcome "
            f"changes in {pluralize(self.answers_changed, 'row') if self.answers_changed else 'no row'}."
        )
        if self.reward_mean is not None:
            said += f" Rewards are off by {self.reward_mean:.2g} nats on average and {self.reward_largest:.2g} at most."
        if self.loss_before is not None:
            said += f" Log loss: {self.loss_before:.4f} before, {self.loss_after:.4f} after."
        return said


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far its numbers are from the run's."""

    folder: Path
    architecture: str
    """The class of transformers that reads it, or `adapter`."""
    labels: int
    """3, or 1 of a reward model."""
    dtype: str
    """Of the weights but the head, which is in float32."""
    bytes: int
    """Of the files of weights."""
    has_chat_template: bool
    """False where the tokenizer would make other tokens by it than the judge reads."""
    drift: Drift | None
    """None where it was not measured."""

    @property
    def adapter_only(self) -> bool:
        """Whether it needs the base model beside it."""
        return self.architecture == "adapter"
