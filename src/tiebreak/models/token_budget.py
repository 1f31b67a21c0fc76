"""The token budget of one pass, which halves when the device runs out of memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from tiebreak.errors import MemoryBudgetError

Result = TypeVar("Result")


class TokenBudget:
    """How many tokens go through the model at once. Never part of what is computed, only of how.

    Args:
        tokens: what to begin with.
        tell: called with one sentence whenever the budget changes.
        relieve: makes a pass need less memory, once, where a single comparison is too much.
    """

    def __init__(
        self,
        tokens: int,
        log: Callable[[str], None] | None = None,
        on_exhausted: Callable[[], None] | None = None,
    ) -> None:
        self.tokens = tokens
        self._tell = log
        self._relieve = on_exhausted

    def run(self, attempt: Callable[[int], Result], *, longest: int, undo: Callable[[], None] | None = None) -> Result:
        """`attempt(tokens)`, again with half the tokens for as long as the device runs out of memory.

        Args:
            attempt: does the work within so many tokens a pass.
            longest: tokens of the longest sequence in the work; a pass cannot be smaller.
            undo: takes back what a failed attempt left behind.

        Raises:
            MemoryBudgetError: even a pass of the longest sequence alone is too much.
        """
        while True:
            try:
                return attempt(max(self.tokens, longest))  # an earlier, shorter step may have halved below
            except torch.OutOfMemoryError:
                pass  # leave the except block first: the exception keeps the failed attempt's tensors alive
            if undo is not None:
                undo()
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._halve(longest)

    def _halve(self, longest: int) -> None:
        if self.tokens <= longest and self._relieve is not None:
            self._relieve()
            self._relieve = None
            if self._tell is not None:
                self._tell(f"Out of memory with a single comparison of {longest:,} tokens: checkpointing every layer.")
            return
        if self.tokens <= longest:
            raise MemoryBudgetError(
                f"Out of memory with a single comparison of {longest} tokens in a pass. Lower text.max_length, turn on "
                "training.gradient_checkpointing, take model.precision=nf4, or use a GPU with more memory."
            )
        before = self.tokens
        self.tokens = max(before // 2, longest)
        if self._tell is not None:
            self._tell(
                f"Out of memory at {before:,} tokens a pass: going on with {self.tokens:,}. The step is repeated with "
                f"the same comparisons; training.tokens_per_pass={self.tokens} avoids this next time."
            )
