"""Texts to head outputs: the part that judges with a language model share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Generic

import numpy as np

from tiebreak.data.chat_templates import ChatTemplate
from tiebreak.errors import ModelError
from tiebreak.judges.verdicts import InputLimits
from tiebreak.text.truncation import TruncatableT

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from tiebreak.models import TokenBudget
    from tiebreak.text import Encoded, Encoder


class HeadInference(Generic[TruncatableT]):
    """A model and its encoder.

    Args:
        model: in inference mode, on its device.
        encoder: from inputs to token ids.
        compute_dtype: the type of matrix products.
        budget: tokens per pass.
    """

    def __init__(
        self, model: nn.Module, encoder: Encoder[TruncatableT], compute_dtype: torch.dtype, budget: TokenBudget
    ) -> None:
        self._model = model
        self._encoder = encoder
        self._compute_dtype = compute_dtype
        self.budget = budget
        chat = encoder.chat_tokenizer
        self._chat_template = None if chat is None else ChatTemplate.of(chat)
        self._one_at_a_time = Lock()  # one thread encodes while another computes

    @property
    def reads(self) -> InputLimits:
        """As in `Judge`."""
        on_gpu = next(self._model.parameters()).device.type != "cpu"
        return InputLimits(
            self._encoder.max_length,
            self.budget.tokens,
            self._encoder.template,
            self._encoder.bos,
            on_gpu,
            self._chat_template,
        )

    def read(
        self,
        rows: Sequence[TruncatableT],
        groups: Sequence[int] | None,
        on_progress: Callable[[int], None] | None,
    ) -> tuple[NDArray[np.float64], list[Encoded]]:
        """The head's outputs for each row, [rows, labels], and the encoded rows.

        Raises:
            MemoryBudgetError: a single text does not fit in memory.
            ModelError: the model's outputs are not finite.
        """
        encoded = self._encoder.encode(rows)
        return self._outputs(encoded, groups, on_progress), encoded

    def read_rendered(self, texts: Sequence[str | Sequence[int]]) -> tuple[NDArray[np.float64], list[Encoded]]:
        """The same for texts that are already in the template, or their token ids.

        Raises:
            ValueError: an id is not a token of the judge.
            MemoryBudgetError, ModelError: as in `read`.
        """
        encoded = self._encoder.encode_rendered(texts)
        return self._outputs(encoded, None, None), encoded

    def _outputs(
        self,
        encoded: Sequence[Encoded],
        groups: Sequence[int] | None,
        on_progress: Callable[[int], None] | None,
    ) -> NDArray[np.float64]:
        from tiebreak.models import predict_logits

        with self._one_at_a_time:
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
                f"{len(outputs):,} texts: its training diverged, or the compute type has too small a range for the "
                "base model. "
                "Train again with a lower training.learning_rate, or with model.compute_dtype=float32."
            )
        return outputs.astype(np.float64)
