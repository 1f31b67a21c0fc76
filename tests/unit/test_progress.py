from __future__ import annotations

from tiebreak.progress import cumulative_progress


def test_steps_add_up_to_the_whole() -> None:
    told: list[tuple[int, int]] = []
    done = cumulative_progress(7, lambda *numbers: told.append(numbers))
    for step in (2, 0, 5):
        done(step)
    assert told == [(2, 7), (2, 7), (7, 7)]
