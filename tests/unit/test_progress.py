from __future__ import annotations

from tiebreak.progress import cumulative_progress


def test_steps_add_up_to_the_total() -> None:
    calls: list[tuple[int, int]] = []
    done = cumulative_progress(7, lambda *numbers: calls.append(numbers))
    for step in (2, 0, 5):
        done(step)
    assert calls == [(2, 7), (2, 7), (7, 7)]
