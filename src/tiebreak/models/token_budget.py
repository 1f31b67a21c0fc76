"""The token budget of one pass, which is halved when the device runs out of memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from tiebreak.errors import MemoryBudgetError

Result = TypeVar("Result")


class TokenBudget:
    """How many tokens go through the model at once. It does not change results.

    Args:
        tokens: the initial budget.
        log: called with one sentence whenever the budget changes.
        on_exhausted: called once when a single comparison does not fit; makes a pass need less memory.
    """

    def __init__(
        self,
        tokens: int,
        log: Callable[[str], None] | None = None,
        on_exhausted: Callable[[], None] | None = None,
    ) -> None:
        self.tokens = tokens
        self._log = log
        self._on_exhausted = on_exhausted

    def run(self, attempt: Callable[[int], Result], *, longest: int, undo: Callable[[], None] | None = None) -> Result:
        """Call `attempt(tokens)`, and again with half the tokens while the device runs out of memory.

        Args:
            attempt: does the work with at most that many tokens per pass.
            longest: tokens of the longest sequence; a pass cannot be smaller.
            undo: reverts a failed attempt.

        Raises:
            MemoryBudgetError: a pass with the longest sequence alone does not fit.
        """
        while True:
            try:
                return attempt(
                    max(self.tokens, longest)
                )  # an earlier step with shorter sequences may have a smaller budget
            except torch.OutOfMemoryError:
                pass  # leave the except block first: the exception keeps the failed attempt's tensors alive
            if undo is not None:
                undo()
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._halve(longest)

    def _halve(self, longest: int) -> None:
        if self.tokens <= longest and self._on_exhausted is not None:
            self._on_exhausted()
            self._on_exhausted = None
            if self._log is not None:
                self._log(
                    f"Out of memory with a single comparison of {longest:,} tokens. All layers are now checkpointed."
                )
            return
        if self.tokens <= longest:
            raise MemoryBudgetError(
                f"Out of memory with a single comparison of {longest} tokens in a pass. Lower text.max_length, turn on "
                "training.gradient_checkpointing, set model.precision=nf4, or use a GPU with more memory."
            )
        before = self.tokens
        self.tokens = max(before // 2, longest)
        if self._log is not None:
            self._log(
                f"Out of memory at {before:,} tokens per pass; continuing with {self.tokens:,}. The step is "
                "repeated with "
                f"the same comparisons. Set training.tokens_per_pass={self.tokens} to avoid this next time."
            )
