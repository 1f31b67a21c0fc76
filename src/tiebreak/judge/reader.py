"""Texts in, the head's outputs out: what judges with a language model share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic

import numpy as np

from tiebreak.errors import ModelError
from tiebreak.text.truncate import SaidT

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from tiebreak.model import TokenBudget
    from tiebreak.text import Encoded, Encoder


class Reader(Generic[SaidT]):
    """A model with its encoder.

    Args:
        model: ready to judge.
        encoder: turns what is to be read into token ids.
        compute_dtype: the type of matrix products.
        budget: tokens that go through the model at once.
    """

    def __init__(
        self, model: nn.Module, encoder: Encoder[SaidT], compute_dtype: torch.dtype, budget: TokenBudget
    ) -> None:
        self._model = model
        self._encoder = encoder
        self._compute_dtype = compute_dtype
        self.budget = budget

    def read(
        self,
        rows: Sequence[SaidT],
        groups: Sequence[int] | None,
        on_progress: Callable[[int], None] | None,
    ) -> tuple[NDArray[np.float64], list[Encoded]]:
        """What the head gives for each row, [rows, labels], and how each was encoded.

        Raises:
            MemoryBudgetError: a single text does not fit into memory.
            ModelError: the model's numbers are not finite.
        """
        from tiebreak.model import predict_logits

        encoded = self._encoder.encode(rows)
        outputs = predict_logits(
            self._model,
            [e.ids for e in encoded],
            compute_dtype=self._compute_dtype,
            budget=self.budget,
            groups=groups,
            on_progress=on_progress,
        )
        if not np.isfinite(outputs).all():
            raise ModelError(
                f"The judge's outputs are not finite for {int((~np.isfinite(outputs)).any(axis=1).sum()):,} of "
                f"{len(outputs):,} texts: its training diverged, or the compute type is too narrow for the base model. "
                "Train anew with a lower training.learning_rate, or with model.compute_dtype=float32."
            )
        return outputs.astype(np.float64), encoded
