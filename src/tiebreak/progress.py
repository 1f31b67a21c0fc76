"""Progress told in steps -> progress told as how much of the whole is done."""

from __future__ import annotations

from collections.abc import Callable


def cumulative_progress(total: int, on_progress: Callable[[int, int], None]) -> Callable[[int], None]:
    """What to call with how much was done since the last call; it calls `on_progress` with the sum and the total.

    >>> done = count_up(3, print)
    >>> done(2)
    2 3
    >>> done(1)
    3 3
    """
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        on_progress(done, total)

    return count
