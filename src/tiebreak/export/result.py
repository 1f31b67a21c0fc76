"""The result of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiebreak.formatting import pluralize

ExportDtype = Literal["auto", "float32", "bfloat16", "float16"]
"""The type of the merged weights; `auto` is the type of the base checkpoint."""


@dataclass(frozen=True)
class Drift:
    """How far an export's outputs differ from those of the run's judge."""

    on: str
    """A description of the rows it was measured on."""
    rows: int
    dtype: str
    """The type the exported model computed in."""
    probability_mean: float
    """Mean absolute difference of the probabilities over (A, B, tie)."""
    probability_largest: float
    answers_changed: int
    """Rows whose likeliest outcome changes."""
    reward_mean: float | None = None
    """For a reward model: mean absolute difference of the rewards, in nats."""
    reward_largest: float | None = None
    loss_before: float | None = None
    """Log loss of the run's judge, if there are votes."""
    loss_after: float | None = None

    def __str__(self) -> str:
        """A summary in up to three sentences."""
        summary = (
            f"On {self.rows:,} {self.on}, in {self.dtype}, probabilities differ from the run's judge by "
            f"{self.probability_mean:.2g} on average and {self.probability_largest:.2g} at most; the likeliest outcome "
            f"changes in {pluralize(self.answers_changed, 'row') if self.answers_changed else 'no row'}."
        )
        if self.reward_mean is not None:
            summary += (
                f" Rewards differ by {self.reward_mean:.2g} nats on average and {self.reward_largest:.2g} at most."
            )
        if self.loss_before is not None:
            summary += f" Log loss: {self.loss_before:.4f} before, {self.loss_after:.4f} after."
        return summary


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far its outputs differ from the run's."""

    folder: Path
    architecture: str
    """The transformers class that loads it, or `adapter`."""
    labels: int
    """3, or 1 for a reward model."""
    dtype: str
    """The type of the weights, except for the head, which is float32."""
    bytes: int
    """The size of the weight files."""
    has_chat_template: bool
    """False if the tokenizer would give other tokens with it than the judge reads."""
    drift: Drift | None
    """None if it was not measured."""

    @property
    def adapter_only(self) -> bool:
        """Whether it needs the base model."""
        return self.architecture == "adapter"
