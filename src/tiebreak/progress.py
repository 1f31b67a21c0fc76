"""Convert progress in steps to cumulative progress."""

from __future__ import annotations

from collections.abc import Callable


def cumulative_progress(total: int, on_progress: Callable[[int, int], None]) -> Callable[[int], None]:
    """A callback that takes the work done since its last call, and calls `on_progress` with the sum and the total.

    >>> advance = cumulative_progress(3, print)
    >>> advance(2)
    2 3
    >>> advance(1)
    3 3
    """
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        on_progress(done, total)

    return advance
