"""What an evaluation measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tiebreak.judges import Swap
from tiebreak.metrics import Estimate, Evaluation, LengthBias, PositionBias, Preference, Slice
from tiebreak.workflows.comparison import JudgeComparison
from tiebreak.workflows.verdict import RunVerdict, judge_comparisons
from tiebreak.workflows.vote_overlap import TrainingOverlap


@dataclass(frozen=True)
class EvaluationResult:
    """What `evaluate` measured."""

    run: str | None
    """The run's folder; None for a judge that was given loaded."""
    data: str | None
    """The file of votes; None for votes that were given as objects."""
    swap: Swap
    evaluation: Evaluation
    """Log loss, accuracy and the other metrics with intervals, the confusion matrix, the calibration curves."""
    slices: tuple[Slice, ...]
    """Log loss and accuracy by source, model, turns, length and language."""
    position_bias: PositionBias | None
    """None if the rows were not judged in both orders."""
    length_bias: LengthBias | None
    """None if the texts are not known."""
    format_bias: dict[str, Preference]
    comparisons: tuple[JudgeComparison, ...] = ()
    """Baselines and guesses on the same rows, if `baselines` was set."""
    training_overlap: TrainingOverlap | None = None
    """Rows with prompts that the run was trained on; None if that is not known, as for a loaded judge."""
    guesses: tuple[JudgeComparison, ...] = ()
    """Guesses that need no judge, on the same rows."""

    @property
    def metrics(self) -> dict[str, Estimate]:
        """The metrics by name, `loss` and `accuracy` first; see `tiebreak.metrics.evaluate`."""
        return self.evaluation.metrics

    @property
    def verdict(self) -> RunVerdict:
        """Whether the judge is better than guesses, and than the baselines if `baselines` was set."""
        return judge_comparisons(self.metrics["loss"].value, self.evaluation.rows, self.comparisons or self.guesses)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `tiebreak evaluate --json` prints."""
        position, length = self.position_bias, self.length_bias
        values: dict[str, Any] = {
            "run": self.run,
            "data": self.data,
            "rows": self.evaluation.rows,
            "weights": None if self.evaluation.weights is None else self.evaluation.weights.to_dict(),
            "swap": self.swap,
            "verdict": self.verdict.to_dict(),
            "training_overlap": None if self.training_overlap is None else self.training_overlap.to_dict(),
            **{name: e.value for name, e in self.metrics.items() if name.startswith(("loss", "accuracy"))},
            "evaluation": self.evaluation.to_dict(),
            "breakdown": [part.to_dict() for part in self.slices],
            "bias": {
                "position": None if position is None else position.to_dict(),
                "length": None if length is None else length.to_dict(),
                "format": {name: preference.to_dict() for name, preference in self.format_bias.items()},
            },
        }
        if self.comparisons:
            values["baselines"] = [comparison.to_dict() for comparison in self.comparisons]
        return values
